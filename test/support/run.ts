// Runs the loop to its end and gives all that came of it.

import type { Engine } from '../../src/engine/engine.js';
import {
  type FinishReason,
  type GenerateOptions,
  type GenerateStats,
  generate,
  newStats,
} from '../../src/generation/generate.js';
import { makeSampler, type Sampler, type SamplingOptions } from '../../src/sampling/sampler.js';

export const PLAIN: SamplingOptions = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repeatPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repeatLastN: -1,
  logitBias: new Map(),
};

export const greedy = (banned: readonly number[] = []): Sampler => makeSampler({ ...PLAIN, temperature: 0 }, 0, banned);

export interface RunResult {
  ids: number[];
  reason: FinishReason;
  stats: GenerateStats;
}

/** Options with what most tests want: the cache, no stop ids, the model's whole context. */
export function optionsFor(engine: Engine, options: Partial<GenerateOptions>): GenerateOptions {
  const defaults = { maxTokens: 8, nCtx: engine.config.nPositions, stopIds: [], cache: true, onFull: 'stop' as const };
  return { ...defaults, ...options };
}

export async function run(
  engine: Engine,
  promptIds: readonly number[],
  options: Partial<GenerateOptions> = {},
  sampler: Sampler = greedy(),
): Promise<RunResult> {
  const stats = newStats();
  const tokens = generate(engine, sampler, promptIds, optionsFor(engine, options), stats);
  const ids: number[] = [];
  for (;;) {
    const next = await tokens.next();
    if (next.done === true) {
      return { ids, reason: next.value, stats };
    }
    ids.push(next.value);
  }
}
