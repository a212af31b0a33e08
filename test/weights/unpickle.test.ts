// Pickles as Python writes them, in all of its protocols: the same values. One that is damaged anywhere is refused in words.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { PickleEnds, type PickleNames, Tuple, unpickle } from '../../src/weights/unpickle.js';
import { op } from '../support/torch.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/torch/pickles.json', import.meta.url));
const ROWS: { value: unknown; pickles: string[] }[] = JSON.parse(readFileSync(FIXTURES, 'utf8'));

const NAMES: PickleNames = {
  find: (module, name) => `${module} ${name}`,
  call: (callee, [pairs = []]) => {
    expect(callee).toBe('collections OrderedDict');
    return new Map(
      (pairs as unknown[]).map((pair) => (pair instanceof Tuple ? pair.items : pair) as [unknown, unknown]),
    );
  },
  load: () => {
    throw new KvgenError('nothing is stored elsewhere');
  },
};

/** As the fixtures write what JSON has no words for. */
function tagged(value: unknown): unknown {
  if (typeof value === 'bigint' || (Number.isInteger(value) && Math.abs(value as number) >= 2 ** 53)) {
    return typeof value === 'bigint' ? { int: String(value) } : value;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return { float: String(value).replace('Infinity', 'inf').replace('NaN', 'nan') };
  }
  if (value instanceof Map) {
    return { dict: [...value].map((pair) => pair.map(tagged)) };
  }
  return value instanceof Tuple
    ? { tuple: value.items.map(tagged) }
    : Array.isArray(value)
      ? { list: value.map(tagged) }
      : value;
}

const run = (bytes: Uint8Array) => unpickle(bytes, NAMES, 'file');

describe('a pickle of Python is read in every protocol', () => {
  it.each(ROWS.map(({ value, pickles }) => [JSON.stringify(value).slice(0, 60), value, pickles] as const))(
    '%s',
    (_, value, pickles) => {
      for (const [protocol, hex] of pickles.entries()) {
        const bytes = Buffer.from(hex, 'hex');
        if (protocol === 0 && hex.includes('5c75')) {
          expect(() => run(bytes)).toThrow(/expected a plain text|not UTF-8/);
          continue;
        }
        const { value: found, end } = run(bytes);
        expect([tagged(found), end]).toEqual([value, bytes.length]);
      }
    },
  );

  it('texts of Python 2', () => {
    expect(run(op.raw('\x80\x02U\x03abcT\x02\0\0\0de\x86.')).value).toEqual(new Tuple(['abc', 'de']));
  });

  it('from a place on', () => {
    const bytes = Buffer.concat([op.pickle(op.integer(1)), op.pickle(op.integer(2))]);
    const { end } = run(bytes);
    expect(unpickle(bytes, NAMES, 'file', end)).toEqual({ value: 2, end: bytes.length });
  });
});

describe('what is no pickle is refused in words', () => {
  it.each<[string, string, RegExp]>([
    ['an unknown opcode', '\xff.', /^file: not a pickle .*byte 0: no opcode has the number 255/],
    ['a later protocol', '\x80\x06N.', /expected a protocol of 0 to 5, found 6/],
    ['nothing to stop with', '.', /byte 0: nothing on the stack/],
    ['a tuple without a mark', 'Nt.', /byte 1: no mark on the stack/],
    ['an item of no list', 'NNa.', /items for what is no list/],
    ['an item of a tuple', ')Na.', /items for what is no list/],
    ['a pair of no dict', ']NNs.', /items for what is no dict/],
    ['half a pair', '}(Nu.', /items for what is no dict/],
    ['a hole in the memo', 'h\x05.', /nothing in the memo under 5/],
    ['attributes of a list', ']}b.', /attributes for what is no dict/],
    ['a name that is a number', 'K\x01K\x02\x93.', /a name that is no text/],
    ['arguments that are a list', 'ca\nb\n]R.', /a call without a tuple/],
    ['arguments with names', 'ca\nb\n)}(NNu\x92.', /a call with names/],
    ['no integer', 'I1x\n.', /expected an integer, found "1x"/],
    ['no float', 'Fx\n.', /expected a number, found "x"/],
    ['an escape', "S'\\x41'\n.", /expected a text in quotes/],
    ['bytes that are no text', 'X\x01\0\0\0\xff.', /byte 5: a text that is not UTF-8/],
    ['a line without an end', `I${'1'.repeat(20_000)}`, /a line of more than 10000 bytes/],
  ])('%s', (_, text, words) => {
    expect(() => run(op.raw(text))).toThrow(KvgenError);
    expect(() => run(op.raw(text))).toThrow(words);
  });

  it('one that is cut asks for more', () => {
    for (const { pickles } of ROWS) {
      for (const hex of pickles) {
        const bytes = Buffer.from(hex, 'hex');
        expect(() => run(bytes.subarray(0, Math.floor(bytes.length / 2)))).toThrow(PickleEnds);
      }
    }
  });

  it('one that is changed anywhere is a value or is refused', () => {
    const all = ROWS.flatMap(({ pickles }) => pickles);
    const place = fc.tuple(fc.nat(all.length - 1), fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(place, ([which, at, byte]) => {
        const bytes = Buffer.from(all[which] as string, 'hex');
        bytes[at % bytes.length] = byte;
        try {
          unpickle(bytes, { ...NAMES, call: () => null }, 'file');
        } catch (error) {
          expect(error instanceof KvgenError || error instanceof PickleEnds).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
