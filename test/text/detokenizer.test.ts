import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Detokenizer } from '../../src/text/detokenizer.js';

/** What each token (its bytes) releases, then what finish does. */
function stream(tokens: Uint8Array[]): string[] {
  const detokenizer = new Detokenizer({ bytes: (id) => tokens[id] as Uint8Array });
  return [...tokens.map((_, id) => detokenizer.add(id)), detokenizer.finish()];
}

const bytes = (...values: number[]) => Uint8Array.from(values);

describe('Detokenizer', () => {
  it.each([
    ['ASCII at once', [bytes(0x61), bytes(0x62, 0x63)], ['a', 'bc', '']],
    ['a character in three tokens', [bytes(0x61, 0xe4), bytes(0xba), bytes(0xba, 0x62)], ['a', '', '人b', '']],
    ['an unfinished end', [bytes(0x61, 0xf0, 0x9f)], ['a', '\ufffd']],
    ['a broken sequence', [bytes(0xe4), bytes(0x61)], ['', '\ufffda', '']],
    ['a byte that begins nothing', [bytes(0xff), bytes(0x80)], ['\ufffd', '\ufffd', '']],
    ['an impossible second byte', [bytes(0xe0), bytes(0x80)], ['', '\ufffd\ufffd', '']],
    ['a byte-order mark', [bytes(0xef, 0xbb), bytes(0xbf), bytes(0xef, 0xbb, 0xbf)], ['', '\ufeff', '\ufeff', '']],
    ['ids without a token', [bytes(), bytes(0x61), bytes()], ['', 'a', '', '']],
  ])('%s', (_, tokens, released) => {
    expect(stream(tokens)).toEqual(released);
  });

  it('joins to the decode of all bytes, however they are cut', () => {
    const start = fc.constantFrom(0x61, 0xc3, 0xe0, 0xe4, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff);
    const byte = fc.oneof(start, fc.integer({ min: 0x80, max: 0xbf }), fc.integer({ min: 0, max: 255 }));
    const tokens = fc.array(fc.array(byte, { maxLength: 5 }).map((values) => Uint8Array.from(values)));
    fc.assert(
      fc.property(tokens, (parts) => {
        const whole = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(parts));
        expect(stream(parts).join('')).toBe(whole);
      }),
      { numRuns: 3000 },
    );
  });

  it('holds back nothing but an unfinished character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const all = new TextEncoder().encode(text);
        const detokenizer = new Detokenizer({ bytes: (id) => all.subarray(id, id + 1) });
        let released = '';
        for (let id = 0; id < all.length; id++) {
          released += detokenizer.add(id);
          const isWhole = id + 1 === all.length || ((all[id + 1] as number) & 0xc0) !== 0x80;
          if (isWhole) {
            expect(released).toBe(Buffer.from(all.subarray(0, id + 1)).toString());
          }
        }
        expect(detokenizer.finish()).toBe('');
      }),
    );
  });
});
