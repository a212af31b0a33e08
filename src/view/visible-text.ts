// Text of a model in pieces that can be shown: what would be invisible, or would move or reorder what stands around it, is a
// mark that says what it is. Knows nothing of markup.

/** A piece of a token's text. A mark stands for characters that cannot be shown as they are. */
export interface Piece {
  readonly text: string;
  readonly isMark: boolean;
  /** The line ends behind the mark. */
  readonly breaks?: boolean;
}

/** Controls, marks of direction, of joining and of no width, separators of lines, halves of characters; letters that are blank. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u115f\u1160\u2800\u3164\uffa0]|\u034f/u;
/** A token may be nothing but line ends; so many are lines. */
const MOST_BREAKS = 4;
/** What is drawn over the character before it, and a selector of how that one is drawn. */
const COMBINING = /\p{M}/u;
const SELECTOR = /\p{Variation_Selector}/u;
/** So many over one character are some script's; more would cover what stands around it. */
const MOST_COMBINING = 6;
const NO_CHARACTER = '◌';
const DELETE = 0x7f;

/** The pieces of the first `limit` characters; the last says how many there are where some are left out. */
export function visiblePieces(text: string, limit: number): Piece[] {
  const characters = [...text];
  const pieces: Piece[] = [];
  let breaks = 0;
  let combined = 0; // over the newest character
  for (const character of characters.slice(0, limit)) {
    const last = pieces.at(-1);
    if (COMBINING.test(character) && !UNSEEN.test(character)) {
      combined = combine(pieces, character, combined);
      continue;
    }
    combined = 0;
    if (UNSEEN.test(character)) {
      const isBreak = character === '\n' && breaks++ < MOST_BREAKS;
      pieces.push({ text: markOf(character), isMark: true, ...(isBreak ? { breaks: true } : {}) });
    } else if (last?.isMark === false) {
      pieces[pieces.length - 1] = { text: last.text + character, isMark: false };
    } else {
      pieces.push({ text: character, isMark: false });
    }
  }
  const left = characters.length > limit;
  return left ? [...pieces, { text: `… ${characters.length} characters`, isMark: true }] : pieces;
}

/** Draws over the last character if it can be, else over a circle; `combined` are there already. @returns how many are there now */
function combine(pieces: Piece[], character: string, combined: number): number {
  const last = pieces.at(-1);
  if (last !== undefined && combined < MOST_COMBINING && (combined > 0 || !last.isMark)) {
    pieces[pieces.length - 1] = { ...last, text: last.text + character };
    return combined + 1;
  }
  if (combined === MOST_COMBINING || SELECTOR.test(character)) {
    pieces.push({ text: markOf(character), isMark: true });
    return combined;
  }
  pieces.push({ text: NO_CHARACTER + character, isMark: true });
  return 1;
}

/** True for the text of bytes that are no whole characters: nothing yet, or only U+FFFD. */
export function isPartOfCharacter(text: string): boolean {
  return /^\ufffd*$/.test(text);
}

/** What a token shows: its text; spaces alone as marks; of a part of a character the bytes; of what has none, the id. */
export function tokenPieces(
  token: { readonly id: number; readonly text: string; readonly bytes?: readonly number[] | undefined },
  limit: number,
): Piece[] {
  if (/^ +$/.test(token.text)) {
    return visiblePieces(token.text.replaceAll(' ', '␣'), limit).map(({ text }) => ({ text, isMark: true }));
  }
  const bytes = token.bytes ?? [];
  if (isPartOfCharacter(token.text) && bytes.length > 0) {
    return [{ text: hexBytes(bytes.slice(0, limit)), isMark: true }];
  }
  return token.text === '' ? [{ text: `#${token.id}`, isMark: true }] : visiblePieces(token.text, limit);
}

export function hexBytes(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(' ');
}

/** One line of plain text, for titles and labels. */
export function visibleLine(pieces: readonly Piece[]): string {
  return pieces.map(({ text, isMark }) => (isMark ? `⟨${text}⟩` : text)).join('');
}

function markOf(character: string): string {
  const code = character.codePointAt(0) as number;
  if (character === '\n') {
    return '↵';
  }
  if (character === '\t') {
    return '⇥';
  }
  if (code < 0x20) {
    return String.fromCodePoint(0x2400 + code); // the picture of the control, such as ␛
  }
  return code === DELETE ? '␡' : `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
}
