import { describe, expect, it } from 'vitest';
import { byteCount, count, milliseconds, percent, plural, probability, times } from '../../src/view/number-words.js';
import { probabilityStep, stepWords } from '../../src/view/probability-scale.js';

describe('numbers of the page', () => {
  it.each([
    [0, '0 %'],
    [1e-300, '< 0.01 %'],
    [0.0001, '0.01 %'],
    [0.00999, '1.00 %'],
    [0.123456, '12.3 %'],
    [0.9994, '99.9 %'],
    [0.99999, '> 99.9 %'],
    [1, '100 %'],
  ])('a share of %d is %s', (share, words) => {
    expect(percent(share)).toBe(words);
  });

  it('stand beside their exact values', () => {
    expect(probability(-0.1818177921664521)).toEqual({
      words: '83.4 %',
      exact: 'log-probability -0.1818177921664521',
    });
    expect(probability(null).words).toBe('–');
    expect(milliseconds(4.123456)).toEqual({ words: '4.12 ms', exact: '4.123456 ms' });
    expect(milliseconds(41.25).words).toBe('41.3 ms');
    expect(milliseconds(12345.6)).toEqual({ words: '12,346 ms', exact: '12345.6 ms' });
    expect(milliseconds(0)).toEqual({ words: '0.00 ms', exact: '0 ms' });
    expect(milliseconds(null)).toEqual({ words: '–', exact: 'not measured' });
    expect(byteCount(1281024)).toEqual({ words: '1.28 MB', exact: '1281024 bytes' });
    expect(byteCount(9216).words).toBe('9.2 kB');
    expect(byteCount(512).words).toBe('512 bytes');
  });

  it('have commas, units and nouns', () => {
    expect([count(999), count(1000), count(1234567)]).toEqual(['999', '1,000', '1,234,567']);
    expect([plural(1, 'token'), plural(2000, 'token')]).toEqual(['1 token', '2,000 tokens']);
    expect([times(0.047), times(1), times(9.96), times(12.4), times(1234.5)]).toEqual([
      '0.047 ×',
      '1.0 ×',
      '10.0 ×',
      '12 ×',
      '1,235 ×',
    ]);
  });
});

describe('steps of probability', () => {
  it('have a lowest probability each, which belongs to them', () => {
    const steps = [1, 0.9, 0.8999, 0.5, 0.1, 0.03, 0.01, 0.0099, 0].map((p) => probabilityStep(Math.log(p) + 1e-12));
    expect(steps).toEqual([0, 0, 1, 2, 4, 5, 6, 7, 7]);
    expect([stepWords(0), stepWords(6), stepWords(7)]).toEqual(['at least 90 %', 'at least 1 %', 'less than 1 %']);
  });
});
