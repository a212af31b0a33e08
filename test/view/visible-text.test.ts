import { describe, expect, it } from 'vitest';
import { tokenPieces, visibleLine, visiblePieces } from '../../src/view/visible-text.js';

const line = (text: string, limit = 100) => visibleLine(visiblePieces(text, limit));

describe('what cannot be seen', () => {
  it.each([
    ['a\nb', 'a⟨↵⟩b'],
    ['\t', '⟨⇥⟩'],
    ['\u001b[31mred', '⟨␛⟩[31mred'],
    ['\0', '⟨␀⟩'],
    ['\u007f', '⟨␡⟩'],
    ['\u0085', '⟨U+0085⟩'],
    ['\u202eabc', '⟨U+202E⟩abc'],
    ['\u2066\u2069', '⟨U+2066⟩⟨U+2069⟩'],
    ['a\u200bb\ufeff', 'a⟨U+200B⟩b⟨U+FEFF⟩'],
    ['\u2028', '⟨U+2028⟩'],
    ['\ud800', '⟨U+D800⟩'],
    ['\u{e0041}', '⟨U+E0041⟩'],
    ['\u3164', '⟨U+3164⟩'],
    ['e\u0301', 'e\u0301'],
    ['\u0301', '⟨◌\u0301⟩'],
    ['\u093eन', '⟨◌\u093e⟩न'],
    ['\n\u0301\u0302a', '⟨↵⟩⟨◌\u0301\u0302⟩a'],
    ['\ufe0f', '⟨U+FE0F⟩'],
    ['❤\ufe0f', '❤\ufe0f'],
    [`e${'\u0301'.repeat(8)}n\u0303`, `e${'\u0301'.repeat(6)}⟨U+0301⟩⟨U+0301⟩n\u0303`],
    ['\u0301'.repeat(8), `⟨◌${'\u0301'.repeat(6)}⟩⟨U+0301⟩⟨U+0301⟩`],
    ['<b>é 😀 שלום', '<b>é 😀 שלום'],
  ])('%j is %s', (text, seen) => {
    expect(line(text)).toBe(seen);
  });

  it('a long text is cut, and its length said', () => {
    expect(line('x'.repeat(10_000), 5)).toBe('xxxxx⟨… 10000 characters⟩');
  });

  it('of many line ends only the first few end a line', () => {
    expect(visiblePieces('\n'.repeat(50), 100).filter(({ breaks }) => breaks)).toHaveLength(4);
  });

  it('spaces alone are marks', () => {
    expect(visibleLine(tokenPieces({ id: 5, text: '  ' }, 9))).toBe('⟨␣␣⟩');
    expect(visibleLine(tokenPieces({ id: 5, text: '    ' }, 2))).toBe('⟨␣␣⟩⟨… 4 characters⟩');
    expect(visibleLine(tokenPieces({ id: 5, text: ' a' }, 9))).toBe(' a');
  });

  it('a part of a character is its bytes, a token without bytes its id', () => {
    expect(tokenPieces({ id: 5, text: '', bytes: [0xf0, 0x9f] }, 9)).toEqual([{ text: 'F0 9F', isMark: true }]);
    expect(tokenPieces({ id: 5, text: '\ufffd', bytes: [0xff] }, 9)).toEqual([{ text: 'FF', isMark: true }]);
    expect(tokenPieces({ id: 5, text: '\ufffd' }, 9)).toEqual([{ text: '\ufffd', isMark: false }]);
    expect(tokenPieces({ id: 5, text: '', bytes: [] }, 9)).toEqual([{ text: '#5', isMark: true }]);
  });
});
