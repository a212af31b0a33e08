// One line of `kvgen batch`: turns a JSON object into settings of generate. Its keys are generate's long options in
// snake_case, and errors name them so. Knows nothing of models or streams.

import { KvgenError } from '../../errors.js';
import { checkGenerateArgs, GENERATE, type GenerateArgs, optionsOf, settingsOf } from '../../settings.js';

/** A line that can be run. */
export interface BatchLine {
  /** undefined: the prompt came as ids. */
  readonly prompt: string | undefined;
  readonly args: GenerateArgs;
}

/** Reads the JSON of a line. @throws KvgenError that names the key, what was expected and what was found */
export function readBatchLine(json: Record<string, unknown>, defaults: GenerateArgs): BatchLine {
  const { id = null, prompt, ...options } = json;
  if (typeof id === 'number' && Number.isInteger(id) && !Number.isSafeInteger(id)) {
    throw new KvgenError('id: a number beyond 2^53−1 would be written back as another one; give it as a text');
  }
  if (prompt !== undefined && typeof prompt !== 'string') {
    throw new KvgenError(`prompt: expected a text, found ${JSON.stringify(prompt)}`);
  }
  if ((prompt === undefined) === (options.prompt_ids === undefined)) {
    throw new KvgenError('expected a prompt or prompt_ids, one of the two');
  }
  const given = Object.entries(options).map(([key, value]) => readOption(key, value));
  const args = settingsOf(GENERATE, { ...defaults, ...Object.fromEntries(given) });
  checkGenerateArgs(args, prompt);
  return { prompt, args };
}

/** A message about options with the keys of a line in it: `max_tokens` for `--max-tokens`. */
export function lineWords(message: string): string {
  return message.replace(/--([a-z][a-z-]*)/g, (_, name: string) => name.replaceAll('-', '_'));
}

const OPTIONS = optionsOf(GENERATE);

function readOption(key: string, json: unknown): [name: string, value: unknown] {
  const form = `--${key.replaceAll('_', '-')}`;
  const option = OPTIONS.find(({ forms }) => forms.includes(form));
  if (option === undefined || key.includes('-')) {
    throw new KvgenError(`${key}: expected id, prompt or an option of generate, such as max_tokens`);
  }
  const { name, setting, negates } = option;
  if (!setting.for?.includes('line')) {
    const isShared = setting.for?.includes('batch');
    throw new KvgenError(
      `${key}: ${isShared ? 'is the same for all rows, an option of kvgen batch' : 'has no meaning for a row'}`,
    );
  }
  const value = setting.kind.fromJson(json, key);
  return [name, negates ? !value : value];
}
