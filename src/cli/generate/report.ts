// What a run gave and measured, as a line of words and as JSON. The fields of the JSON and their meaning are a contract
// with other programs.

import { megabytes } from '../../errors.js';
import type { DraftCounts } from '../../generation/drafts.js';
import type { SequenceStats } from '../../generation/sequence.js';
import { promptCacheJson, verifyJson } from './report-cache.js';
import { servedFields, servedWords } from './report-served.js';
import { tokensJson } from './report-tokens.js';
import type { FinishedRun } from './samples.js';

/** What of a run the line after it says. */
export interface MeasuredRun extends Pick<FinishedRun, 'completion' | 'seed' | 'answerCached'> {
  readonly args: Pick<FinishedRun['args'], 'cache' | 'draft'>;
  readonly prompt: Pick<FinishedRun['prompt'], 'ids'>;
  readonly promptCache: Pick<NonNullable<FinishedRun['promptCache']>, 'writtenTokens'> | null;
}

/** The line after the texts: tokens, speed, what the caches hold, the seeds. */
export function statisticsLine(runs: readonly MeasuredRun[]): string {
  const [{ args, prompt, completion, seed, answerCached }] = runs as [MeasuredRun];
  const { served } = completion;
  const { firstTokenMs, reusedTokens } = completion.stats;
  const all = runs.map((run) => run.completion.stats);
  const kept = runs.reduce((sum, { promptCache }) => sum + (promptCache?.writtenTokens ?? 0), 0);
  const isOne = runs.length === 1;
  const isCounted = served === undefined || served.generationTokens !== null;
  const tokens = `${isCounted ? '' : 'at least '}${count(total(all, 'generationTokens'), 'token')}`;
  const speed = decodeRate(all);
  const cache = `cache ${count(total(all, 'cachePositions'), 'position')}, ${megabytes(total(all, 'cacheBytes'))}`;
  const parts = [
    isOne ? tokens : `${count(runs.length, 'sample')}, ${tokens}`,
    speed === null ? undefined : `${speed.toFixed(0)} tok/s`,
    isOne && firstTokenMs !== null ? `first token ${firstTokenMs.toFixed(0)} ms` : undefined,
    served === undefined ? `prompt ${count(prompt.ids.length, 'token')} (${reusedTokens} reused)` : servedWords(served),
    served === undefined ? (args.cache ? cache : 'cache off') : undefined,
    args.draft > 0 ? draftWords(draftsOf(all)) : undefined,
    isOne ? `seed ${seed}` : `seeds ${seed} to ${seed + runs.length - 1}`,
    kept > 0 ? `kept ${count(kept, 'token')}` : undefined,
    answerCached ? 'answer from the cache' : undefined,
  ];
  return parts.filter((part) => part !== undefined).join(' · ');
}

function total(all: readonly SequenceStats[], name: 'generationTokens' | 'cachePositions' | 'cacheBytes'): number {
  return all.reduce((sum, stats) => sum + stats[name], 0);
}

/** Tokens per second of all texts together: tokens after the first of each, over the time of the slowest. */
function decodeRate(all: readonly SequenceStats[]): number | null {
  const tokens = all.reduce((sum, { generationTokens }) => sum + Math.max(0, generationTokens - 1), 0);
  return rate(tokens, Math.max(...all.map(({ decodeMs }) => decodeMs ?? 0)));
}

/** What was guessed and what came of it, of all texts together. */
export function draftsOf(all: readonly Pick<SequenceStats, 'drafts'>[]): DraftCounts {
  const sum = (name: keyof DraftCounts) => all.reduce((total, { drafts }) => total + (drafts?.[name] ?? 0), 0);
  return { drafted: sum('drafted'), accepted: sum('accepted'), passes: sum('passes') };
}

export function draftWords(counts: DraftCounts): string {
  const perPass = tokensPerPass(counts);
  const words = `${counts.accepted} of ${counts.drafted} drafted tokens accepted`;
  return perPass === null ? words : `${words}, ${perPass.toFixed(2)} tokens a pass`;
}

/** A pass gives a token, and those that were guessed before it. null: there was no pass */
function tokensPerPass({ accepted, passes }: DraftCounts): number | null {
  return passes === 0 ? null : (passes + accepted) / passes;
}

/** The object of --json. */
export function reportFields(run: FinishedRun): object {
  const { args, prompt, machine, completion } = run;
  const { stats, served } = completion;
  return {
    ...(run.sample === null ? {} : { sample: run.sample }),
    model: run.model,
    backend: machine?.backend ?? 'server',
    engine: run.engine,
    threads: machine?.threads ?? null,
    weights: machine?.weights ?? null,
    prompt: prompt.text,
    text: completion.text,
    finish_reason: completion.finishReason,
    seed: run.seed,
    prompt_ids: prompt.ids,
    ids: completion.tokens.map(({ id }) => id),
    ...tokensJson(run),
    prompt_tokens: prompt.ids.length,
    generation_tokens: stats.generationTokens,
    ...timeFields(stats, prompt.ids.length),
    ...(args.draft > 0 ? { draft: draftJson(draftsOf([stats])) } : {}),
    cache: {
      enabled: args.cache,
      positions: stats.cachePositions,
      bytes: stats.cacheBytes,
      prompt: promptCacheJson(run),
    },
    answer_cached: run.answerCached,
    ...(run.verify === null ? {} : { verify: verifyJson(run.verify) }),
    num_tensors: stats.numTensors,
    peak_rss_bytes: process.resourceUsage().maxRSS * 1024,
    ...(served === undefined ? {} : servedFields(served, completion.tokens)),
  };
}

function draftJson(counts: DraftCounts): object {
  const perPass = tokensPerPass(counts);
  const { drafted, accepted } = counts;
  return { drafted, accepted, tokens_per_pass: perPass === null ? null : Math.round(100 * perPass) / 100 };
}

function timeFields(stats: SequenceStats, promptTokens: number): object {
  return {
    load_ms: round(stats.loadMs),
    prompt_ms: round(stats.promptMs),
    first_token_ms: round(stats.firstTokenMs),
    decode_ms: round(stats.decodeMs),
    prompt_tps: round(rate(promptTokens - stats.reusedTokens, stats.promptMs)),
    generation_tps: round(rate(stats.generationTokens - 1, stats.decodeMs)),
  };
}

/** Tokens per second; null: not measured. */
function rate(tokens: number, ms: number | null): number | null {
  return ms !== null && ms > 0 && tokens > 0 ? (1000 * tokens) / ms : null;
}

/** One decimal. */
function round(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10) / 10;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
