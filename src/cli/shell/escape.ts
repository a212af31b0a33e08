// Escapes what could control a terminal: text from a model, a prompt or a file is raw on the stdout of generate alone. Knows
// nothing of streams.

// C0 and DEL and C1, which move the cursor and more; the marks and controls that change the direction of a line; the
// separators of lines and paragraphs; halves of characters.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not get through
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\p{Surrogate}/gu;

/** One line of text with each control character as JSON would write it: `\n`, `\u001b`. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (character) => {
    const json = JSON.stringify(character).slice(1, -1);
    return json === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : json;
  });
}

/** Lines of text, each printable. */
export function printableLines(lines: string): string {
  return lines.split('\n').map(printable).join('\n');
}

/** Text of a chat: lines and tabs stay, other control characters are escaped. It may be a piece of a longer one. */
export function printableText(text: string): string {
  return text.replace(/[^\n\t]+/g, printable);
}

/** A value as JSON on one line. It has no control characters, and stands for the same value as that of JSON.stringify. */
export function jsonText(value: unknown): string {
  return printable(JSON.stringify(value));
}
