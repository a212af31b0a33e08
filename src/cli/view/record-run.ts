// What is known of a run as the record that its page is drawn from. The report in it is the object of --json, from the same code.

import type { TimedPass } from '../../generation/pass-times.js';
import { bytesPerPosition, type ModelConfig } from '../../model/config.js';
import type {
  AttentionRecord,
  ModelSizes,
  PrefillPart,
  RunRecord,
  RunReport,
  StepTime,
} from '../../view/run-record.js';
import { reportFields } from '../generate/report.js';
import type { FinishedRun } from '../generate/samples.js';
import { jsonText } from '../shell/escape.js';

/** A run that was watched, and what was measured behind it. */
export interface WatchedRun {
  readonly run: FinishedRun;
  readonly config: ModelConfig;
  /** The passes over the prompt. */
  readonly promptPasses: readonly TimedPass[];
  /** For each choice, the milliseconds of its passes. */
  readonly stepMs: readonly number[];
  /** By generated token, as far as it was measured. */
  readonly uncachedMs: readonly number[];
  readonly attention: AttentionRecord | null;
  readonly attentionMissing?: string | undefined;
}

export function runRecord(watched: WatchedRun): RunRecord {
  const { run, config, attention, attentionMissing } = watched;
  return {
    format: 'kvgen-run',
    version: 1,
    report: JSON.parse(jsonText(reportFields(run))) as RunReport, // a record that is read again holds the same
    model: sizesOf(run, config),
    prefill: prefillParts(watched),
    steps: stepTimes(watched),
    attention,
    ...(attentionMissing === undefined ? {} : { attentionMissing }),
  };
}

function sizesOf({ prompt }: FinishedRun, config: ModelConfig): ModelSizes {
  const { modelType, nLayer, nHead, nKvHead, headDim } = config;
  return { modelType, nLayer, nHead, nKvHead, headDim, nCtx: prompt.nCtx, bytesPerPosition: bytesPerPosition(config) };
}

/** What prefill did not compute it had from disk; reading took the rest of its time. */
function prefillParts({ run, promptPasses }: WatchedRun): PrefillPart[] {
  const { reusedTokens, promptMs } = run.completion.stats;
  const computed = run.args.cache ? promptPasses : wholePasses(promptPasses);
  const parts = computed.map(({ from, to, ms }) => ({ from, to, source: 'computed' as const, ms: rounded(ms) }));
  const passesMs = computed.reduce((sum, { ms }) => sum + ms, 0);
  const readMs = Math.max(0, (promptMs ?? passesMs) - passesMs);
  const read = { from: 0, to: reusedTokens, source: 'disk' as const, ms: rounded(readMs) };
  return reusedTokens === 0 ? parts : [read, ...parts];
}

/** Without a cache every pass runs the whole prompt: for the logits of many ids there are several. */
function wholePasses(passes: readonly TimedPass[]): TimedPass[] {
  const ms = passes.reduce((sum, pass) => sum + pass.ms, 0);
  return passes.slice(0, 1).map((pass) => ({ ...pass, ms }));
}

/** The first token waits for the whole prefill. */
function stepTimes({ run, stepMs, uncachedMs }: WatchedRun): StepTime[] {
  const { tokens, stats } = run.completion;
  const own = (i: number) => (i === 0 ? (stats.promptMs ?? stepMs[0]) : stepMs[i]) ?? 0;
  return tokens.map((_, i) => {
    const measured = uncachedMs[i];
    return run.args.cache
      ? { cachedMs: rounded(own(i)), uncachedMs: measured === undefined ? null : rounded(measured) }
      : { cachedMs: null, uncachedMs: rounded(own(i)) };
  });
}

/** To the microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
