// `kvgen tokenize`: prints the token ids of a text as a JSON array. Reads only the tokenizer's files.

import { setImmediate } from 'node:timers/promises';
import { EXIT, UsageError } from '../errors.js';
import { ModelFolder } from '../files/model-folder.js';
import { loadTokenizer } from '../text/tokenizer.js';
import { findModel } from '../weights/find.js';
import type { Invocation } from './shell/command.js';
import { TOKENIZE } from './shell/command-settings.js';
import { checkHasInput, readPrompt } from './shell/prompt-input.js';
import type { Terminal } from './shell/terminal.js';

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
  await printIds(ids, terminal, signal);
  return EXIT.ok;
}

/** Ids of a portion: between two of them signals are seen. */
const PORTION = 10_000;

/** As one JSON array. @throws what `signal` aborts with */
async function printIds(ids: readonly number[], terminal: Terminal, signal: AbortSignal): Promise<void> {
  for (let start = 0; start < Math.max(1, ids.length) && !terminal.closed.aborted; start += PORTION) {
    signal.throwIfAborted();
    const end = start + PORTION < ids.length ? '' : ']\n';
    await terminal.write(`${start === 0 ? '[' : ','}${ids.slice(start, start + PORTION).join()}${end}`);
    await setImmediate();
  }
}
