// The golden folders: a model each, and what Hugging Face computes from it (test/fixtures/golden/README.md).

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const FIXTURES = fileURLToPath(new URL('../fixtures', import.meta.url));

export interface GoldenStep {
  id: number;
  logprob: number;
  top5: [id: number, logprob: number][];
  gap: number;
}

export interface Golden {
  prompt_ids: number[];
  logits_first: number[];
  logits_last: number[];
  prompt_logprobs: number[];
  greedy: GoldenStep[];
  logits_full?: number[];
  generate_ids?: number[];
  token_count?: number;
  greedy_masked?: GoldenStep[];
  text_masked?: string;
}

export function goldenDir(name: string): string {
  return name.startsWith('gpt2-') ? join(FIXTURES, name) : join(FIXTURES, 'golden', name);
}

export function readGolden(name: string): Golden {
  return JSON.parse(readFileSync(join(goldenDir(name), 'golden.json'), 'utf8'));
}

/** Every folder there is. */
export function goldenNames(): string[] {
  const folders = (dir: string) =>
    readdirSync(dir, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  return [...folders(join(FIXTURES, 'golden')), ...folders(FIXTURES).filter((name) => name.startsWith('gpt2-micro'))];
}

/** max |a − b| / max |b|; NaN counts as infinitely far. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    return Number.POSITIVE_INFINITY;
  }
  let far = 0;
  let max = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    far = Math.max(far, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    max = Math.max(max, Math.abs(b[i] as number));
  }
  return far / max;
}

/** The parity rule of the project: max |a − b| ≤ 1e-4 · max |b|. */
export function expectParity(a: ArrayLike<number>, b: ArrayLike<number>): void {
  expect(distance(a, b)).toBeLessThanOrEqual(1e-4);
}

/** Greedy steps up to the first whose two best are so close that rounding may decide. */
export function sureSteps<S extends Pick<GoldenStep, 'gap'>>(steps: readonly S[]): readonly S[] {
  const doubtful = steps.findIndex(({ gap }) => gap <= 1e-4);
  return doubtful < 0 ? steps : steps.slice(0, doubtful);
}
