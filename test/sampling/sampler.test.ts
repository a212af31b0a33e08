import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { logprobOf } from '../../src/sampling/logprobs.js';
import { uniform } from '../../src/sampling/random.js';
import { makeSampler, type SamplingOptions } from '../../src/sampling/sampler.js';
import { selectTop } from '../../src/sampling/select-top.js';
import { PLAIN } from '../support/run.js';

const GREEDY = { ...PLAIN, temperature: 0 };
const logitsOf = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log);
const FOUR = logitsOf(0.1, 0.2, 0.3, 0.4);

/** How often each id comes in 4000 draws, as a fraction. */
function frequencies(options: Partial<SamplingOptions>, logits: Float32Array, ids: number[] = []): number[] {
  const sampler = makeSampler({ ...PLAIN, ...options }, 1);
  const counts = new Array<number>(logits.length).fill(0);
  for (let n = 0; n < 4000; n++) {
    const id = sampler(logits, ids);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return counts.map((count) => count / 4000);
}

function expectFrequencies(actual: number[], expected: number[]): void {
  for (const [id, p] of expected.entries()) {
    if (p === 0) {
      expect(actual[id]).toBe(0);
    } else {
      expect(Math.abs((actual[id] as number) - p)).toBeLessThan(0.035); // more than 4 sigma
    }
  }
}

describe('each filter on four tokens', () => {
  it('draws from the distribution itself when all are off', () => {
    expectFrequencies(frequencies({}, FOUR), [0.1, 0.2, 0.3, 0.4]);
  });

  it('top-k keeps the k best; 0 and beyond the vocabulary keep all', () => {
    expectFrequencies(frequencies({ topK: 2 }, FOUR), [0, 0, 3 / 7, 4 / 7]);
    expect(frequencies({ topK: 99 }, FOUR)).toEqual(frequencies({ topK: 0 }, FOUR));
    expect(frequencies({ topK: 4 }, FOUR)).toEqual(frequencies({ topK: 0 }, FOUR));
  });

  it('top-p keeps the smallest set that reaches p', () => {
    expectFrequencies(frequencies({ topP: 0.69 }, FOUR), [0, 0, 3 / 7, 4 / 7]);
    expectFrequencies(frequencies({ topP: 0.71 }, FOUR), [0, 2 / 9, 3 / 9, 4 / 9]);
    expectFrequencies(frequencies({ topP: 0.01 }, FOUR), [0, 0, 0, 1]);
  });

  it('top-p stops at the token whose sum equals p exactly', () => {
    const even = Float32Array.of(0, 0, 0, 0);
    expectFrequencies(frequencies({ topP: 0.5 }, even), [0.5, 0.5, 0, 0]);
  });

  it('min-p keeps what has at least x times the probability of the best', () => {
    expectFrequencies(frequencies({ minP: 0.74 }, FOUR), [0, 0, 3 / 7, 4 / 7]);
    expectFrequencies(frequencies({ minP: 0.76 }, FOUR), [0, 0, 0, 1]);
    expectFrequencies(frequencies({ minP: 1 }, Float32Array.of(1, 2, 2, 0)), [0, 0.5, 0.5, 0]);
  });

  it('temperature sharpens and flattens', () => {
    expectFrequencies(frequencies({ temperature: 0.5 }, FOUR), [1 / 30, 4 / 30, 9 / 30, 16 / 30]);
    expectFrequencies(frequencies({ temperature: 1e6 }, FOUR), [0.25, 0.25, 0.25, 0.25]);
    expectFrequencies(frequencies({ temperature: 1e-40 }, FOUR), [0, 0, 0, 1]);
  });

  it('a bias adds to the logit, -Infinity bans', () => {
    expectFrequencies(frequencies({ logitBias: new Map([[0, Math.log(4)]]) }, FOUR), [4 / 13, 2 / 13, 3 / 13, 4 / 13]);
    expectFrequencies(frequencies({ logitBias: new Map([[3, -Infinity]]) }, FOUR), [1 / 6, 2 / 6, 3 / 6, 0]);
  });
});

describe('the order of the filters', () => {
  it('top-p looks at what top-k left', () => {
    // of 0.4 and 0.3 alone, 0.4 is 57 %; of all four it is 40 %
    expectFrequencies(frequencies({ topK: 2, topP: 0.5 }, FOUR), [0, 0, 0, 1]);
    expectFrequencies(frequencies({ topP: 0.5 }, FOUR), [0, 0, 3 / 7, 4 / 7]);
  });

  it('the filters look at the distribution before temperature', () => {
    expectFrequencies(frequencies({ topP: 0.69, temperature: 1e6 }, FOUR), [0, 0, 0.5, 0.5]);
    expectFrequencies(frequencies({ minP: 0.74, temperature: 1e6 }, FOUR), [0, 0, 0.5, 0.5]);
  });

  it('the filters look at the scores after bias and penalties', () => {
    expectFrequencies(frequencies({ topK: 1, logitBias: new Map([[0, 9]]) }, FOUR), [1, 0, 0, 0]);
    expectFrequencies(frequencies({ topK: 1, presencePenalty: 9 }, FOUR, [3]), [0, 0, 1, 0]);
  });

  it('the bias comes before the repetition penalty', () => {
    // (4 − 5) · 2 = −2; the other way round 4 / 2 − 5 = −3
    const sampler = makeSampler({ ...GREEDY, repeatPenalty: 2, logitBias: new Map([[0, -5]]) }, 0);
    expect(sampler(Float32Array.of(4, -2.5), [0])).toBe(0);
  });

  it('the repetition penalty comes before the presence penalty', () => {
    // 4 / 2 − 1 = 1; the other way round (4 − 1) / 2 = 1.5
    const sampler = makeSampler({ ...GREEDY, repeatPenalty: 2, presencePenalty: 1 }, 0);
    expect(sampler(Float32Array.of(4, 1.2), [0])).toBe(1);
  });
});

describe('ties', () => {
  const tied = Float32Array.of(1, 2, 2, 2);

  it('go to the lower id: greedy, in top-k and in top-p', () => {
    expect(makeSampler(GREEDY, 0)(tied, [])).toBe(1);
    expectFrequencies(frequencies({ topK: 2 }, tied), [0, 0.5, 0.5, 0]);
    expectFrequencies(frequencies({ topK: 3, topP: 0.5 }, tied), [0, 0.5, 0.5, 0]);
    expectFrequencies(frequencies({ topP: 0.5 }, tied), [0, 0.5, 0.5, 0]);
  });

  it('selectTop equals a full sort by score, then id', () => {
    const scores = fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constant(-Infinity)), { minLength: 1 });
    fc.assert(
      fc.property(scores, fc.nat(), (values, seed) => {
        const k = 1 + (seed % values.length);
        const out = new Int32Array(values.length);
        selectTop(Float32Array.from(values), k, out);
        const sorted = values
          .map((_, id) => id)
          .sort((a, b) => (values[a] === values[b] ? a - b : (values[a] as number) < (values[b] as number) ? 1 : -1));
        expect([...out.subarray(0, k)]).toEqual(sorted.slice(0, k));
      }),
    );
  });
});

describe('penalties', () => {
  const best = (options: Partial<SamplingOptions>, logits: number[], ids: number[]) =>
    makeSampler({ ...GREEDY, ...options }, 0)(Float32Array.from(logits), ids);

  it('repetition divides positive and multiplies negative logits', () => {
    expect(best({ repeatPenalty: 2 }, [4, 2.1], [0])).toBe(1);
    expect(best({ repeatPenalty: 2 }, [4, 1.9], [0])).toBe(0);
    expect(best({ repeatPenalty: 2 }, [-1, -1.9], [0])).toBe(1);
    expect(best({ repeatPenalty: 2 }, [-1, -2.1], [0])).toBe(0);
  });

  it('repetition counts an id once', () => {
    expect(best({ repeatPenalty: 2 }, [4, 1.5], [0, 0, 0])).toBe(0);
  });

  it('frequency counts each time, presence once', () => {
    expect(best({ frequencyPenalty: 1 }, [4, 2.5], [0])).toBe(0);
    expect(best({ frequencyPenalty: 1 }, [4, 2.5], [0, 0])).toBe(1);
    expect(best({ presencePenalty: 1 }, [4, 2.5], [0, 0])).toBe(0);
    expect(best({ presencePenalty: 2 }, [4, 2.5], [0])).toBe(1);
  });

  it('look at the last n ids; -1 is all, 0 none', () => {
    const options = { presencePenalty: 9 };
    expect(best({ ...options, repeatLastN: 2 }, [4, 0, 0, -1], [0, 1, 2])).toBe(0);
    expect(best({ ...options, repeatLastN: 3 }, [4, 0, 0, -1], [0, 1, 2])).toBe(3);
    expect(best({ ...options, repeatLastN: -1 }, [4, 0, 0, -1], [0, 1, 2])).toBe(3);
    expect(best({ ...options, repeatLastN: 0 }, [4, 0, 0, -1], [0, 1, 2])).toBe(0);
  });
});

describe('draws', () => {
  it('takes the n-th draw of the seed at the n-th call, by id order', () => {
    const sampler = makeSampler(PLAIN, 7);
    const even = Float32Array.of(0, 0, 0, 0);
    for (let n = 0; n < 50; n++) {
      expect(sampler(even, [])).toBe(Math.floor(uniform(7, n) * 4));
    }
  });

  it.each([0, 7, 2 ** 53 - 1])('seed %d gives the same ids again, and other seeds others', (seed) => {
    const run = (s: number) => {
      const sampler = makeSampler({ ...PLAIN, topK: 3, topP: 0.95 }, s);
      return Array.from({ length: 40 }, () => sampler(FOUR, []));
    };
    expect(run(seed)).toEqual(run(seed));
    expect(run(seed)).not.toEqual(run(seed === 0 ? 1 : seed - 1));
  });

  it('is frozen for the default options', () => {
    const logits = Float32Array.from({ length: 100 }, (_, id) => ((id * 37) % 100) / 20);
    const sampler = makeSampler({ ...PLAIN, temperature: 0.8, topK: 40, topP: 0.95 }, 42);
    expect(Array.from({ length: 12 }, () => sampler(logits, []))).toMatchInlineSnapshot(`
      [
        59,
        97,
        81,
        70,
        32,
        29,
        24,
        35,
        54,
        27,
        51,
        32,
      ]
    `);
  });

  it('top-p over a large vocabulary keeps the same set as ranking everything', () => {
    const logits = Float32Array.from({ length: 3000 }, (_, id) => uniform(5, id) * 4);
    const order = [...logits.keys()].sort((a, b) => (logits[b] as number) - (logits[a] as number));
    const total = order.reduce((sum, id) => sum + Math.exp(logits[id] as number), 0);
    let size = 0;
    for (let sum = 0; sum < 0.3 * total; size++) {
      sum += Math.exp(logits[order[size] as number] as number);
    }
    const kept = new Set(order.slice(0, size));
    const sampler = makeSampler({ ...PLAIN, topP: 0.3 }, 3);
    const drawn = new Set(Array.from({ length: 3000 }, () => sampler(logits, [])));
    expect(size).toBeGreaterThan(64);
    expect([...drawn].filter((id) => !kept.has(id))).toEqual([]);
    expect(drawn.size).toBeGreaterThan(size * 0.9);
  });

  it('never writes into the logits', () => {
    const logits = Float32Array.from(FOUR);
    const options = { ...PLAIN, topK: 2, repeatPenalty: 2, logitBias: new Map([[1, -Infinity]]) };
    makeSampler(options, 0, [0])(logits, [3, 3]);
    expect(logits).toEqual(FOUR);
  });

  it('never gives a banned id', () => {
    expect(makeSampler(GREEDY, 0, [3])(FOUR, [])).toBe(2);
    const sampler = makeSampler(PLAIN, 0, [1, 3]);
    const drawn = new Set(Array.from({ length: 200 }, () => sampler(FOUR, [])));
    expect([...drawn].sort()).toEqual([0, 2]);
  });
});

describe('damaged logits', () => {
  it.each([
    ['NaN at id 2', [0, 1, Number.NaN, 5]],
    ['NaN at id 0', [Number.NaN, 1]],
    ['Infinity at id 1', [0, Number.POSITIVE_INFINITY]],
    ['-Infinity everywhere, first at id 0', [-Infinity, -Infinity]],
  ])('%s is one line', (what, logits) => {
    for (const temperature of [0, 1]) {
      const sampler = makeSampler({ ...PLAIN, temperature, topK: 1 }, 0);
      const message = `generation stopped: the model's logits are not numbers (${what}); the weights are probably damaged`;
      expect(() => sampler(Float32Array.from(logits), [])).toThrow(new KvgenError(message));
    }
  });

  it('says so when everything is banned', () => {
    expect(() => makeSampler(PLAIN, 0, [0, 1])(Float32Array.of(1, 2), [])).toThrow(
      /^generation stopped: every token is banned/,
    );
  });
});

describe('logprobOf', () => {
  it('is the log-softmax of the raw logits, also of huge ones', () => {
    expect(logprobOf(FOUR, 2)).toBeCloseTo(Math.log(0.3), 6);
    expect(logprobOf(Float32Array.of(1e4, 1e4), 1)).toBeCloseTo(-Math.LN2, 12);
    expect(logprobOf(Float32Array.of(0, -Infinity), 1)).toBe(-Infinity);
  });
});
