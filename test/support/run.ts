// Runs the loop to its end and gives all that came of it.

import type { Engine } from '../../src/engine/engine.js';
import type { KvCache } from '../../src/engine/kv-cache.js';
import { generate } from '../../src/generation/generate.js';
import { lastOf } from '../../src/generation/prefill.js';
import type { FinishReason, SequenceOptions, SequenceStats } from '../../src/generation/sequence.js';
import { makeSampler, type Sampler, type SamplingOptions } from '../../src/sampling/sampler.js';
import { settingsOf, takenBy } from '../../src/settings.js';

/** No filter and no penalty; a setting that is added later has its default. */
export const PLAIN: SamplingOptions = {
  ...settingsOf(takenBy('library'), {}),
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
  stats: SequenceStats;
}

/** Runs ids of one sequence, and gives the logits behind the last. */
export function forward(engine: Engine, ids: readonly number[], cache: KvCache | null): Float32Array {
  return (engine.forward(lastOf(ids), cache)[0] as Float32Array).slice(); // borrowed from the engine
}

/** Options with what most tests want: the cache, no stop ids, the model's whole context. */
export function optionsFor(engine: Engine, options: Partial<SequenceOptions>): SequenceOptions {
  const defaults = { maxTokens: 8, nCtx: engine.config.nPositions, stopIds: [], cache: true, onFull: 'stop' as const };
  return { ...defaults, ...options };
}

export async function run(
  engine: Engine,
  promptIds: readonly number[],
  options: Partial<SequenceOptions> = {},
  sampler: Sampler = greedy(),
): Promise<RunResult> {
  const tokens = generate(engine, sampler, promptIds, optionsFor(engine, options));
  const ids: number[] = [];
  for (;;) {
    const next = await tokens.next();
    if (next.done === true) {
      return { ids, reason: next.value.finishReason, stats: next.value.stats };
    }
    ids.push(next.value.id);
  }
}
