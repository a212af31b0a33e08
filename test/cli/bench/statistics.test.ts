import { describe, expect, it } from 'vitest';
import { median, rates } from '../../../src/cli/bench/statistics.js';

describe('median', () => {
  it.each([
    [[3], 3],
    [[5, 1, 3], 3],
    [[4, 1, 3, 2], 2.5],
    [[1000, 1, 2, 3, 4], 3],
  ])('%j', (values, expected) => {
    expect(median(values)).toBe(expected);
  });
});

describe('rates', () => {
  it('of three measurements of 10 tokens', () => {
    // 100, 200 and 50 tokens a second
    expect(rates(10, [100, 50, 200])).toEqual({ tps_median: 100, tps_mean: 116.667, tps_sd: 76.376, ms_per_token: 10 });
  });

  it('of two: the median lies between them', () => {
    expect(rates(1, [10, 20])).toEqual({ tps_median: 75, tps_mean: 75, tps_sd: 35.355, ms_per_token: 13.333 });
  });

  it('of one: no deviation', () => {
    expect(rates(3, [30])).toEqual({ tps_median: 100, tps_mean: 100, tps_sd: 0, ms_per_token: 10 });
  });
});
