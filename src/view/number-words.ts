// Numbers as the page writes them. A rounded one stands beside its exact value, which is as --json has it.

/** A number in words, and in all its digits. */
export interface Said {
  readonly words: string;
  readonly exact: string;
}

/** The probability of a log-probability; the exact value is what --json has, the logarithm. */
export function probability(logprob: number | null): Said {
  if (logprob === null) {
    return { words: '–', exact: 'no log-probability: nothing comes before it' };
  }
  return { words: percent(Math.exp(logprob)), exact: `log-probability ${logprob}` };
}

/** Three digits, of what is nearly nothing or nearly all only that. */
export function percent(share: number): string {
  const value = 100 * share;
  if (!(value >= 0.01)) {
    return share === 0 ? '0 %' : '< 0.01 %';
  }
  if (value > 99.95) {
    return value >= 100 ? '100 %' : '> 99.9 %';
  }
  return `${value.toFixed(value < 1 ? 2 : 1)} %`;
}

export function milliseconds(ms: number | null | undefined): Said {
  if (ms === null || ms === undefined) {
    return { words: '–', exact: 'not measured' };
  }
  return {
    words: `${ms < 10 ? ms.toFixed(2) : ms < 1000 ? ms.toFixed(1) : count(Math.round(ms))} ms`,
    exact: `${ms} ms`,
  };
}

export function byteCount(bytes: number): Said {
  const exact = `${bytes} bytes`;
  if (bytes < 1000) {
    return { words: exact, exact };
  }
  const words = bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
  return { words, exact };
}

/** With commas between thousands. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** How many times more. */
export function times(ratio: number): string {
  return `${ratio < 1 ? ratio.toPrecision(2) : ratio < 10 ? ratio.toFixed(1) : count(Math.round(ratio))} ×`;
}
