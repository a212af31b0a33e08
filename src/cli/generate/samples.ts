// The texts of one prompt before and after they are made, for generate and for a line of a batch. Of several samples
// the first runs the prompt, and the measurements of that belong to all. A single text is one sample. Knows nothing of
// how texts are written.

import type { Completion } from '../../completion/complete.js';
import { type CompletionRequest, makeRequest, type Prompt, type Wishes } from '../../completion/request.js';
import type { PromptCacheReport, SavedPrompts } from '../../generation/saved-prompts.js';
import { SavedText } from '../../generation/saved-text.js';
import { NOTHING_MEASURED, type SequenceStats } from '../../generation/sequence.js';
import type { VerifyReport } from '../../generation/verify.js';
import type { Machine } from '../../library/machine.js';
import type { Model } from '../../library/model.js';
import { type TokenLogprob, tokenLogprob } from '../../sampling/logprobs.js';
import { randomSeed } from '../../sampling/random.js';
import type { GenerateArgs } from '../../settings.js';
import type { TokenTexts } from '../../text/detokenizer.js';

/** A text before it is made. */
export interface TextRun {
  readonly model: string;
  /** What it is computed on; null: a server does it. */
  readonly machine: Machine | null;
  readonly args: GenerateArgs;
  readonly prompt: Prompt;
  readonly tokenizer: TokenTexts | null;
  readonly seed: number;
  /** Which of the samples it is, from 0; null: --samples was not given. */
  readonly sample: number | null;
}

/** A text after it is made. */
export interface FinishedRun extends TextRun {
  readonly completion: Completion;
  /** Known only at the end: a graph engine runs op by op until it has captured. */
  readonly engine: string;
  readonly answerCached: boolean;
  /** Of each id of the prompt after the first; null: not asked for. */
  readonly promptLogprobs: readonly TokenLogprob[] | null;
  /** null: not asked for. */
  readonly promptCache: PromptCacheReport | null;
  /** null: not asked for. */
  readonly verify: VerifyReport | null;
}

/** The texts of one prompt, each made from a request of the form `Q`. */
export interface SampleSet<Q> {
  readonly runs: readonly TextRun[];
  /** One for each text, made when it is taken. */
  requests(): Generator<Q & { readonly run: TextRun }, void>;
  /** Takes what was measured of a text so far. */
  note(run: TextRun, stats: SequenceStats): void;
  finish(run: TextRun, completion: Completion): FinishedRun;
}

/** The request for one sample, and the run that it belongs to. */
export interface Sample extends CompletionRequest {
  readonly run: TextRun;
}

/** What all samples have in common. */
interface SamplesRequest {
  readonly args: GenerateArgs;
  readonly prompt: Prompt;
  readonly model: Model;
  /** Ids that must not be generated; see `idsWithoutToken`. */
  readonly banned: readonly number[];
  /** null: prompts are not saved. */
  readonly prompts: SavedPrompts | null;
  /** Is a text that was interrupted saved, too? Somebody may go on from it. */
  readonly savesInterrupted: boolean;
  readonly wishes: Wishes;
}

/** After an interrupt a person waits for the end: what takes longer to write is not saved. */
const QUICK_BYTES = 2 ** 26;

export class Samples implements SampleSet<CompletionRequest> {
  readonly runs: readonly TextRun[];
  readonly #request: SamplesRequest;
  /** Of each id of the prompt after the first; null: not asked for. */
  readonly #promptLogprobs: TokenLogprob[] | null;
  /** Of the first sample, which did the prefill. */
  #first: SequenceStats = NOTHING_MEASURED;
  /** Those that have begun. */
  readonly #saved = new Map<TextRun, SavedText>();

  constructor(request: SamplesRequest) {
    const { args, prompt, model } = request;
    const { name, backend, threads, weights, tokenizer } = model;
    const seed = args.seed ?? randomSeed();
    const common = { model: name, machine: { backend, threads, weights }, args, prompt, tokenizer };
    this.runs = Array.from({ length: args.samples ?? 1 }, (_, i) => ({
      ...common,
      seed: seed + i,
      sample: args.samples === undefined ? null : i,
    }));
    this.#request = request;
    this.#promptLogprobs = args.echo && args.logprobs !== undefined ? [] : null;
  }

  /** One request for each sample, made when it is taken. */
  *requests(): Generator<Sample, void> {
    const { args, prompt, model, banned, wishes } = this.#request;
    for (const run of this.runs) {
      const promptCache = this.#save(run);
      const onPromptLogits = run === this.runs[0] ? this.#notePrompt() : undefined;
      const own = { ...wishes, promptCache, onPromptLogits };
      yield { run, ...makeRequest(prompt, args, run.seed, model, banned, own) };
    }
  }

  /** Takes what was measured of a sample so far. */
  note(run: TextRun, stats: SequenceStats): void {
    this.#first = run === this.runs[0] ? stats : this.#first;
  }

  /** The finished run, whose text was shown and is saved now. Samples after the first did no prefill, so they get the measurements of the first one's. */
  finish(run: TextRun, completion: Completion): FinishedRun {
    const { model, prompts } = this.#request;
    const { stats } = completion;
    const { name } = model.engine;
    const writtenTokens = this.#saved.get(run)?.finish(this.#isSaved(completion)) ?? 0;
    const report = prompts?.report ?? null;
    return {
      ...run,
      completion: run === this.runs[0] ? completion : { ...completion, stats: withPromptOf(this.#first, stats) },
      engine: name === 'graph' && !run.args.cache ? 'eager' : name,
      answerCached: false,
      promptLogprobs: this.#promptLogprobs,
      promptCache: report === null ? null : { ...report, writtenTokens },
      verify: null,
    };
  }

  /** undefined: prompts are not saved. */
  #save(run: TextRun): SavedText | undefined {
    const { prompts, savesInterrupted, wishes } = this.#request;
    if (prompts === null) {
      return undefined;
    }
    const saved = new SavedText(prompts, run === this.runs[0], savesInterrupted ? undefined : wishes.signal);
    this.#saved.set(run, saved);
    return saved;
  }

  #isSaved({ finishReason, stats }: Completion): boolean {
    return finishReason !== 'abort' || stats.cacheBytes <= QUICK_BYTES;
  }

  #notePrompt(): ((logits: Float32Array) => void) | undefined {
    const { args, prompt } = this.#request;
    const noted = this.#promptLogprobs;
    if (noted === null) {
      return undefined;
    }
    return (logits) => {
      const next = prompt.ids[noted.length + 1];
      if (next !== undefined) {
        noted.push(tokenLogprob(logits, next, args.logprobs ?? 0));
      }
    };
  }
}

/** Times that began with the first sample's prefill instead of the own one. */
function withPromptOf(first: SequenceStats, own: SequenceStats): SequenceStats {
  const { loadMs, promptMs, reusedTokens, reusedFrom } = first;
  const firstTokenMs = own.firstTokenMs === null ? null : own.firstTokenMs + own.loadMs - loadMs;
  return { ...own, loadMs, promptMs, reusedTokens, reusedFrom, firstTokenMs };
}
