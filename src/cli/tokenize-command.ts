// `kvgen tokenize`: prints the token ids of a text as a JSON array. Reads only the tokenizer's files.

import { EXIT, UsageError } from '../errors.js';
import { ModelFolder } from '../files/model-folder.js';
import { loadTokenizer } from '../text/tokenizer.js';
import { findModel } from '../weights/find.js';
import type { Invocation } from './shell/command.js';
import { TOKENIZE } from './shell/command-settings.js';
import { checkHasInput, readPrompt } from './shell/prompt-input.js';

/** The ids of a large text are more digits than one string holds. */
const IDS_AT_ONCE = 100_000;

export async function tokenizeCommand(invocation: Invocation): Promise<number> {
  const { words, literal, settings, terminal, signal } = invocation;
  const { model, file } = settings(TOKENIZE);
  const [argument] = words;
  if (file !== undefined && argument !== undefined) {
    throw new UsageError('--file cannot go with a text');
  }
  checkHasInput(invocation, file === undefined ? {} : { file }, 'no text');
  const { dir } = findModel(model);
  const text = await readPrompt({ argument, literal, file }, invocation);
  const tokenizer = await loadTokenizer(new ModelFolder(dir, signal));
  const ids = await tokenizer.encode(text, { signal, onNote: (line) => terminal.note(line) });
  await terminal.write('[');
  for (let from = 0; from < ids.length && !terminal.closed.aborted; from += IDS_AT_ONCE) {
    await terminal.write(`${from === 0 ? '' : ','}${ids.slice(from, from + IDS_AT_ONCE).join()}`);
    signal.throwIfAborted();
  }
  await terminal.print(']');
  return EXIT.ok;
}
