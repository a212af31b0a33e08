// What a run measured, in words and as JSON. The fields and their meaning are a contract with other programs.

import { megabytes } from '../../errors.js';
import { promptCacheJson, verifyJson } from './report-cache.js';
import { tokensJson } from './report-tokens.js';
import { type GenerateRun, joined } from './run-record.js';

/** The line after the text: tokens, speed, what the cache holds, the seed. */
export function statisticsLine(run: GenerateRun): string {
  const { stats } = run;
  const parts = [
    count(stats.generationTokens, 'token'),
    rate(stats.generationTokens - 1, stats.decodeMs)
      ?.toFixed(0)
      .concat(' tok/s'),
    stats.firstTokenMs === null ? undefined : `first token ${stats.firstTokenMs.toFixed(0)} ms`,
    `prompt ${count(run.promptIds.length, 'token')} (${stats.reusedTokens} reused)`,
    run.cache ? `cache ${count(stats.cachePositions, 'position')}, ${megabytes(stats.cacheBytes)}` : 'cache off',
    `seed ${run.seed}`,
    run.answerCached ? 'answer from the cache' : undefined,
  ];
  return parts.filter((part) => part !== undefined).join(' · ');
}

/** The line after several samples: what they are together. */
export function samplesLine(runs: readonly GenerateRun[]): string {
  const total = (of: (run: GenerateRun) => number) => runs.reduce((sum, run) => sum + of(run), 0);
  const tokens = total(({ stats }) => stats.generationTokens);
  const decodeMs = Math.max(...runs.map(({ stats }) => stats.decodeMs ?? 0));
  const [first] = runs as [GenerateRun];
  const parts = [
    `${count(runs.length, 'sample')}, ${count(tokens, 'token')}`,
    rate(
      total(({ stats }) => Math.max(0, stats.generationTokens - 1)),
      decodeMs,
    )
      ?.toFixed(0)
      .concat(' tok/s'),
    `prompt ${count(first.promptIds.length, 'token')} (${first.stats.reusedTokens} reused)`,
    first.cache
      ? `cache ${count(
          total(({ stats }) => stats.cachePositions),
          'position',
        )}, ${megabytes(total(({ stats }) => stats.cacheBytes))}`
      : 'cache off',
    `seeds ${first.seed} to ${first.seed + runs.length - 1}`,
    first.answerCached ? 'answer from the cache' : undefined,
  ];
  return parts.filter((part) => part !== undefined).join(' · ');
}

/** The object of --json. */
export function reportFields(run: GenerateRun): object {
  const { stats } = run;
  return {
    ...(run.sample === null ? {} : { sample: run.sample }),
    model: run.model,
    backend: run.backend.name,
    engine: run.engine,
    threads: run.backend.threads,
    prompt: run.prompt,
    text: joined(run),
    finish_reason: run.finishReason,
    seed: run.seed,
    prompt_ids: run.promptIds,
    ids: run.tokens.map(({ id }) => id),
    ...tokensJson(run),
    prompt_tokens: run.promptIds.length,
    generation_tokens: stats.generationTokens,
    ...timeFields(run),
    cache: cacheFields(run),
    answer_cached: run.answerCached,
    ...(run.verify === null ? {} : { verify: verifyJson(run.verify) }),
    num_tensors: stats.numTensors,
    peak_rss_bytes: process.resourceUsage().maxRSS * 1024,
  };
}

function timeFields({ stats, promptIds }: GenerateRun): object {
  return {
    load_ms: round(stats.loadMs),
    prompt_ms: round(stats.promptMs),
    first_token_ms: round(stats.firstTokenMs),
    decode_ms: round(stats.decodeMs),
    prompt_tps: round(rate(promptIds.length - stats.reusedTokens, stats.promptMs)),
    generation_tps: round(rate(stats.generationTokens - 1, stats.decodeMs)),
  };
}

function cacheFields(run: GenerateRun): object {
  const { cachePositions: positions, cacheBytes: bytes } = run.stats;
  return { enabled: run.cache, positions, bytes, prompt: promptCacheJson(run) };
}

/** A second; null where nothing was measured. */
function rate(tokens: number, ms: number | null): number | null {
  return ms !== null && ms > 0 && tokens > 0 ? (1000 * tokens) / ms : null;
}

function round(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10) / 10;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
