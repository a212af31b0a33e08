// From times to the rates of a result. A rate is that of a whole measurement. Compare medians, since other work on the
// machine only ever adds time. Knows nothing of what was measured.

export interface Rates {
  readonly tps_median: number;
  readonly tps_mean: number;
  /** Standard deviation of the sample; 0: there is only one measurement. */
  readonly tps_sd: number;
  /** At the median rate. */
  readonly ms_per_token: number;
}

/** @param ms how long each measurement of `tokens` tokens took */
export function rates(tokens: number, ms: readonly number[]): Rates {
  const tps = ms.map((time) => (1000 * tokens) / time);
  const mean = sum(tps) / tps.length;
  const squares = sum(tps.map((x) => (x - mean) ** 2));
  const middle = median(tps);
  return {
    tps_median: round(middle),
    tps_mean: round(mean),
    tps_sd: round(tps.length > 1 ? Math.sqrt(squares / (tps.length - 1)) : 0),
    ms_per_token: round(1000 / middle),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, x) => total + x, 0);
}

/** Three decimals, which is a microsecond where `x` is in milliseconds. */
export function round(x: number): number {
  return Math.round(x * 1000) / 1000;
}
