// `kvgen tokenize`: prints the token ids of a text as a JSON array, or with --view a line a token; with --decode the text of
// ids. Reads only the tokenizer's files.

import { setImmediate } from 'node:timers/promises';
import { EXIT, KvgenError } from '../../errors.js';
import { throwFirst } from '../../settings.js';
import { Detokenizer } from '../../text/detokenizer.js';
import type { Surroundings } from '../../text/post-processor.js';
import { loadTokenizer, type Tokenizer } from '../../text/tokenizer.js';
import { openModelFolder } from '../../weights/adapter-folder.js';
import { findModel } from '../../weights/find.js';
import type { Invocation } from '../shell/command.js';
import { TOKENIZE, type TokenizeArgs } from '../shell/command-settings.js';
import { printableLines } from '../shell/escape.js';
import { checkHasInput, readPrompt } from '../shell/prompt-input.js';
import type { Terminal } from '../shell/terminal.js';
import { readIds } from './read-ids.js';
import { viewLine } from './token-view.js';

export async function tokenizeCommand(invocation: Invocation): Promise<number> {
  const { words, literal, settings, terminal, signal } = invocation;
  const args = settings(TOKENIZE);
  const { model, file, decode, view } = args;
  const [argument] = words;
  throwFirst([
    [file !== undefined && argument !== undefined, '--file cannot go with a text'],
    [args.allSpecial && !args.bos, '--all-special cannot go with --no-bos'],
    [decode && (args.allSpecial || !args.bos), `--decode cannot go with ${args.bos ? '--all-special' : '--no-bos'}`],
  ]);
  await terminal.configure({ ...args, quiet: false, verbose: false });
  checkHasInput(invocation, file === undefined ? {} : { file }, decode ? 'no token ids' : 'no text');
  const found = findModel(model);
  const given = await readPrompt({ argument, literal, file }, invocation);
  const asked = decode ? await readIds(given, argument !== undefined, signal) : undefined;
  const tokenizer = await loadTokenizer(await openModelFolder(found, signal));
  try {
    const { before, behind } = around(tokenizer, args);
    const ids = asked ?? [
      ...before,
      ...(await tokenizer.encode(given, { signal, onNote: (line) => terminal.note(line) })),
      ...behind,
    ];
    await print({ ids, tokenizer, dir: found.dir, view, decode, terminal, signal });
  } finally {
    tokenizer.dispose();
  }
  return EXIT.ok;
}

/** What is printed of what the tokenizer puts around a text. */
function around(tokenizer: Tokenizer, { bos, allSpecial }: TokenizeArgs): Surroundings {
  const { before, behind } = tokenizer.around;
  return { before: bos ? before : [], behind: allSpecial ? behind : [] };
}

interface Printing extends Pick<TokenizeArgs, 'view' | 'decode'>, Pick<Invocation, 'terminal' | 'signal'> {
  readonly ids: readonly number[];
  readonly tokenizer: Tokenizer;
  /** The model's folder, which messages name. */
  readonly dir: string;
}

/** Ids of a portion: between two of them signals are seen. */
const PORTION = 10_000;

/** @throws KvgenError for an id without a token; what `signal` aborts with */
async function print({ ids, tokenizer, dir, view, decode, terminal, signal }: Printing): Promise<void> {
  checkTokens(ids, tokenizer, dir);
  const form = view ? lines(tokenizer, terminal) : decode ? text(tokenizer, terminal) : array();
  for (let start = 0; start < ids.length && !terminal.closed.aborted; start += PORTION) {
    signal.throwIfAborted();
    await terminal.write(form.portion(ids.slice(start, start + PORTION), start));
    await setImmediate();
  }
  await terminal.write(form.end());
}

function checkTokens(ids: readonly number[], tokenizer: Tokenizer, dir: string): void {
  const unknown = ids.find((id) => !tokenizer.has(id));
  if (unknown !== undefined) {
    const found = unknown < tokenizer.size ? 'there is none' : `the last is ${tokenizer.size - 1}`;
    throw new KvgenError(`token id ${unknown}: expected the id of a token of ${dir}, ${found}`);
  }
}

/** What ids are printed as. */
interface Form {
  /** @param start the place of the first of them among all */
  portion(ids: readonly number[], start: number): string;
  end(): string;
}

/** One JSON array. */
function array(): Form {
  let before = '[';
  return {
    portion(ids) {
      const written = before + ids.join();
      before = ',';
      return written;
    },
    end: () => `${before === '[' ? '[' : ''}]\n`,
  };
}

/** The text as it is, so that it is what was tokenized; on a terminal nothing in it may move the cursor. */
function text(tokenizer: Tokenizer, { stdoutIsTerminal }: Terminal): Form {
  const detokenizer = new Detokenizer(tokenizer);
  const shown = (piece: string) => (stdoutIsTerminal ? printableLines(piece) : piece);
  return {
    portion: (ids) => shown(ids.map((id) => detokenizer.add(id)).join('')),
    end: () => `${shown(detokenizer.finish())}\n`,
  };
}

/** A line a token. */
function lines(tokenizer: Tokenizer, { chalk }: Terminal): Form {
  return {
    portion: (ids, start) => ids.map((id, i) => `${viewLine(id, tokenizer.bytes(id), start + i, chalk)}\n`).join(''),
    end: () => '',
  };
}
