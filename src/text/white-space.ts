// Where the white space at the ends of a text is, as Hugging Face's Rust tokenizers have it: Unicode's White_Space. The \s
// of JavaScript also has U+FEFF, and lacks U+0085. Loops, since a pattern with $ takes quadratic time on long white space.

const SPACE = /\p{White_Space}/u;

/** The index of the first character from `start` on that is no white space; the length of the text: there is none. */
export function skipSpace(text: string, start: number): number {
  let i = start;
  while (i < text.length && SPACE.test(text.charAt(i))) {
    i++;
  }
  return i;
}

/** The index behind the last character before `end` that is no white space; 0: there is none. */
export function skipSpaceBack(text: string, end: number): number {
  let i = end;
  while (i > 0 && SPACE.test(text.charAt(i - 1))) {
    i--;
  }
  return i;
}
