// The choices of `kvgen score`: where they come from, their ids and those of the prompt, and how their scores are shown. Knows
// nothing of what scores them.

import { KvgenError, shown } from '../../errors.js';
import { CHOICES } from '../../files/file-kinds.js';
import { EventLoop } from '../../generation/event-loop.js';
import type { Invocation } from '../shell/command.js';
import type { ScoreArgs } from '../shell/command-settings.js';
import { readUtf8, withoutMark } from '../shell/prompt-input.js';
import { readEscapes } from '../shell/unescape.js';
import { choicesJson, choicesTable, rank } from './score-report.js';
import type { ScoreRun } from './score-run.js';

/** A prompt and what may follow it, in ids. */
export interface EncodedChoices {
  readonly promptIds: readonly number[];
  readonly continuations: readonly (readonly number[])[];
}

export async function readChoices(
  { choices = [], choicesFile, escape: escaped }: ScoreArgs,
  invocation: Invocation,
): Promise<readonly string[]> {
  if (choicesFile === undefined) {
    return escaped ? choices.map((choice) => readEscapes(choice, '--choices')) : choices;
  }
  const lines = withoutMark(await readUtf8(choicesFile, CHOICES, invocation))
    .replace(/\r?\n$/, '')
    .split(/\r?\n/);
  if (lines.join('') === '') {
    throw new KvgenError(`${choicesFile}: expected choices, one a line, found none`);
  }
  const empty = lines.indexOf('');
  if (empty >= 0) {
    throw new KvgenError(`${choicesFile}: line ${empty + 1}: expected a choice, found nothing; remove the empty line`);
  }
  return lines;
}

/** @param text undefined: the prompt came as ids */
export async function encodedChoices(
  run: ScoreRun,
  text: string | undefined,
  choices: readonly string[],
): Promise<EncodedChoices> {
  const { args, signal } = run;
  const promptIds = args.promptIds ?? (await run.promptIds(text ?? ''));
  const continuations: number[][] = [];
  const loop = new EventLoop();
  for (const choice of choices) {
    continuations.push(await fittingChoice(run, promptIds, choice));
    if (loop.due) {
      await loop.run();
      signal.throwIfAborted();
    }
  }
  run.check(promptIds);
  return { promptIds, continuations };
}

/** The ids of a choice, tokenized apart from the prompt. @throws KvgenError when it does not fit */
async function fittingChoice(run: ScoreRun, promptIds: readonly number[], choice: string): Promise<number[]> {
  const { tokenizer, nCtx, terminal, signal } = run;
  const ids = await tokenizer.encode(choice, { signal, onNote: (line) => terminal.note(line) });
  run.check(ids);
  if (promptIds.length + ids.length > nCtx) {
    throw new KvgenError(
      `the choice ${shown(choice)} has ${ids.length} tokens and the prompt ${promptIds.length}: ` +
        `more than the context of ${nCtx}; shorten the prompt`,
    );
  }
  return ids;
}

/** @param scores of each choice, summed over its tokens */
export async function printChoices(
  { args, terminal }: ScoreRun,
  choices: readonly string[],
  { promptIds, continuations }: EncodedChoices,
  scores: readonly number[],
): Promise<void> {
  const ranked = rank(
    choices.map((text, i) => {
      const tokens = (continuations[i] as readonly number[]).length;
      return { text, tokens, bytes: Buffer.byteLength(text), logprob: scores[i] as number };
    }),
  );
  await (args.json
    ? terminal.printJson(choicesJson(promptIds.length, ranked))
    : terminal.printTable(choicesTable(ranked)));
}
