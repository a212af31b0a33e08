// What --escape makes of a text of the command line: `\n`, `\t`, `\\`, `\xNN` and `\uNNNN` become what they stand for, anything
// else stays as it is. Knows nothing of commands.

import { UsageError } from '../../errors.js';
import type { GenerateArgs } from '../../settings.js';
import type { Terminal } from './terminal.js';

/** All bytes that stand together are one match, since only together they may be a character. */
const PAIR = /\\(?:[nt\\]|u[\dA-Fa-f]{4})|(?:\\x[\dA-Fa-f]{2})+/g;

const NAMED: Readonly<Record<string, string>> = { '\\n': '\n', '\\t': '\t', '\\\\': '\\' };

/**
 * `\xNN` is a byte of UTF-8, as in a shell; bytes that together are no UTF-8 are the characters U+0080 … U+00FF, as in
 * JavaScript and Python.
 * @throws UsageError for a half of a surrogate pair, which is no character
 */
export function readEscapes(text: string, name: string): string {
  const unescaped = text.replace(PAIR, (pair) => NAMED[pair] ?? charactersOf(pair));
  if (/\p{Surrogate}/u.test(unescaped)) {
    throw new UsageError(`${name}: \\uD800 … \\uDFFF are characters only in pairs, such as \\uD83D\\uDE00`);
  }
  return unescaped;
}

function charactersOf(pair: string): string {
  if (pair.startsWith('\\u')) {
    return String.fromCharCode(Number.parseInt(pair.slice(2), 16));
  }
  const bytes = Buffer.from(pair.replace(/\\x/g, ''), 'hex');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}

/** The settings with what --escape makes of its stop strings. */
export function withUnescapedStops<A extends Pick<GenerateArgs, 'escape' | 'stop'>>(args: A): A {
  return args.escape ? { ...args, stop: args.stop.map((stop) => readEscapes(stop, '--stop')) } : args;
}

/** Says once that a stop string is taken literally, where somebody may have meant more. */
export function noteLiteralStop(args: Pick<GenerateArgs, 'escape' | 'stop'>, terminal: Terminal): void {
  const literal = args.escape ? undefined : args.stop.find((text) => text.search(PAIR) >= 0);
  if (literal !== undefined) {
    terminal.note(`--stop ${literal}: a backslash is a character like others here; with --escape ${meaning(literal)}`);
  }
}

function meaning(text: string): string {
  const [pair = ''] = text.match(PAIR) ?? [];
  return pair === '\\n' ? '\\n is a newline' : `${pair} is what it stands for`;
}
