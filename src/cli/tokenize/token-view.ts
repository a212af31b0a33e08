// A token as a line for people: its id, its text in which nothing is invisible, its bytes. Knows nothing of tokenizers.

import { isUtf8 } from 'node:buffer';
import { colorOfPlace, ink } from '../shell/palette.js';
import type { Terminal } from '../shell/terminal.js';

/** What nobody sees: white space, controls, marks of direction, what joins or hides characters. */
const INVISIBLE = /[\p{Z}\p{C}\p{Default_Ignorable_Code_Point}]/u;

const NAMED: Readonly<Record<string, string>> = { ' ': '␣', '\n': '\\n', '\t': '\\t', '\\': '\\\\' };

/**
 * Three cells with tabs between them.
 * @param bytes of the token
 * @param index its place, which gives it its colour
 */
export function viewLine(id: number, bytes: Uint8Array, index: number, chalk: Terminal['chalk']): string {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `${id}\t${ink(colorOfPlace(index), chalk)(visible(bytes))}\t${chalk.dim(hex)}`;
}

/** A space is ␣; what else is invisible, and bytes that are no whole character, are as --escape reads them. */
export function visible(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; ) {
    const length = [1, 2, 3, 4].find((n) => start + n <= bytes.length && isUtf8(bytes.subarray(start, start + n)));
    const piece = Buffer.from(bytes.subarray(start, start + (length ?? 1)));
    text += length === undefined ? `\\x${piece.toString('hex')}` : visibleCharacter(piece.toString());
    start += piece.length;
  }
  return text;
}

function visibleCharacter(character: string): string {
  const isInvisible = INVISIBLE.test(character);
  return NAMED[character] ?? (isInvisible ? character.split('').map(asUnit).join('') : character);
}

function asUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
