// Reads the prompt's text from the argument, a file or stdin. Refuses what is not UTF-8. Knows nothing of models.

import { isUtf8 } from 'node:buffer';
import { existsSync, readFileSync } from 'node:fs';
import { KvgenError, UsageError } from '../../errors.js';
import { type FileKind, PROMPT } from '../../files/file-kinds.js';
import { type Input, openInput, readInput } from '../../files/named-input.js';
import type { GenerateArgs } from '../../settings.js';
import type { Invocation } from './command.js';
import type { Terminal } from './terminal.js';
import { readEscapes } from './unescape.js';

const COMMAND_LINE = '/proc/self/cmdline';
/** What may be a socket can only be read as what it is. */
const STDIN = ['-', '/dev/stdin', '/dev/fd/0', '/proc/self/fd/0'];

/** Bytes in which the first that is wrong is looked for at once. */
const PIECE = 1 << 16;

type PromptArgs = Pick<GenerateArgs, 'file' | 'promptIds'> & Partial<Pick<GenerateArgs, 'escape'>>;

/** Where there is no input and stdin is a terminal, prints the usage. @throws UsageError then */
export function checkHasInput(
  { words, terminal, usage }: Invocation,
  { file, promptIds }: PromptArgs,
  message = 'no prompt',
): void {
  if (words.length === 0 && file === undefined && promptIds === undefined && terminal.stdinIsTerminal) {
    terminal.log(usage());
    throw new UsageError(message);
  }
}

/** @returns undefined: the prompt came as --prompt-ids */
export async function promptText(
  invocation: Invocation,
  { file, promptIds, escape: escaped }: PromptArgs,
): Promise<string | undefined> {
  const { words, literal } = invocation;
  return promptIds === undefined ? readPrompt({ argument: words[0], literal, file, escaped }, invocation) : undefined;
}

interface PromptSource {
  /** The argument; `-` is stdin, unless it is `literal`. */
  readonly argument: string | undefined;
  readonly literal: boolean;
  readonly file: string | undefined;
  /** Does the argument have escapes? */
  readonly escaped?: boolean | undefined;
}

interface Reading {
  readonly terminal: Pick<Terminal, 'stdin'>;
  readonly signal: AbortSignal;
}

/** The prompt's text; one newline at the end of a file or of stdin is dropped. @throws KvgenError */
export async function readPrompt(
  { argument, literal, file, escaped }: PromptSource,
  reading: Reading,
): Promise<string> {
  if (argument !== undefined && (literal || argument !== '-')) {
    checkArgument(argument);
    return escaped ? readEscapes(argument, 'the prompt') : argument;
  }
  return withoutNewline(await readUtf8(file ?? '-', PROMPT, reading));
}

/** What a person named, as text. @throws KvgenError where it cannot be read or is not UTF-8 */
export async function readUtf8(file: string, kind: FileKind, { terminal, signal }: Reading): Promise<string> {
  const input = await openNamed(file, kind, terminal);
  return decodeUtf8(await readInput(input, signal), input.path);
}

/**
 * Opens what a person named; `-` is stdin.
 * @returns the caller's to close
 * @throws KvgenError
 */
export async function openNamed(path: string, kind: FileKind, terminal: Pick<Terminal, 'stdin'>): Promise<Input> {
  return STDIN.includes(path) ? terminal.stdin(kind) : openInput(path, kind);
}

function withoutNewline(text: string): string {
  return text.slice(0, text.endsWith('\r\n') ? -2 : text.endsWith('\n') ? -1 : undefined);
}

/** Drops the byte order mark that some editors write before the first line. */
export function withoutMark(text: string): string {
  return text.replace(/^\uFEFF/, '');
}

/** Node replaces what is not UTF-8 in an argument; on Linux its bytes can still be read. @throws KvgenError */
function checkArgument(argument: string): void {
  if (!argument.includes('\ufffd') || !existsSync(COMMAND_LINE)) {
    return;
  }
  const words = readFileSync(COMMAND_LINE, 'latin1').split('\0');
  const broken = words
    .map((word) => Buffer.from(word, 'latin1'))
    .find((bytes) => !isUtf8(bytes) && bytes.toString() === argument);
  if (broken !== undefined) {
    decodeUtf8(broken, 'the prompt');
  }
}

/** @throws KvgenError with the offset of the first byte that is not UTF-8 */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new KvgenError(
      `${where}: not UTF-8 at byte ${firstInvalidByte(bytes)}; convert it first, for example with iconv`,
    );
  }
}

function firstInvalidByte(bytes: Uint8Array): number {
  let from = 0;
  for (let end = 0; end < bytes.length && isUtf8(bytes.subarray(from, end)); ) {
    from = end;
    end = characterStart(bytes, Math.min(from + PIECE, bytes.length));
  }
  return from + firstInvalidIn(bytes.subarray(from, from + PIECE));
}

/** The last place up to `at` where a character may begin; it is at most three bytes away in valid UTF-8. */
function characterStart(bytes: Uint8Array, at: number): number {
  const start = [at, at - 1, at - 2, at - 3].find((place) => ((bytes[place] ?? 0) & 0xc0) !== 0x80);
  return start ?? at;
}

/** By bisection: the length of the longest beginning that is valid UTF-8. */
function firstInvalidIn(bytes: Uint8Array): number {
  let valid = 0;
  let invalid = bytes.length + 1;
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    if (middle <= bytes.length && startsValid(bytes.subarray(0, middle))) {
      valid = middle;
    } else {
      invalid = middle;
    }
  }
  while (!isUtf8(bytes.subarray(0, valid))) {
    valid--; // back to the first byte of the broken character
  }
  return valid;
}

/** Is it UTF-8, except that its end may cut off a character? */
function startsValid(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
