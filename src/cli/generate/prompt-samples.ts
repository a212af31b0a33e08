// The samples of one prompt, for generate and for a row of a batch: the first of them runs the prompt, and what that
// showed belongs to all.

import type { CompleteOptions } from '../../completion/complete.js';
import type { Engine } from '../../engine/engine.js';
import type { SavedPrompts } from '../../generation/saved-prompts.js';
import { makeSampler } from '../../sampling/sampler.js';
import type { GenerateArgs } from '../../settings.js';
import { loopOptions, type Prompt } from './prepare.js';
import { type GenerateRun, newRun, notePrompt, type RunStart } from './run-record.js';
import type { Sample } from './samples.js';

/** What all samples are made of. */
export interface SampleContext {
  readonly args: GenerateArgs;
  readonly prompt: Prompt;
  readonly engine: Engine;
  /** Ids that must not be generated. */
  readonly withoutToken: readonly number[];
  /** null: not asked for. */
  readonly prompts: SavedPrompts | null;
  readonly options: Pick<CompleteOptions, 'logprobs' | 'signal' | 'onPrefill'>;
}

export class PromptSamples {
  readonly runs: readonly GenerateRun[];
  readonly #context: SampleContext;

  /** @param start its seed is the first one's */
  constructor(start: Omit<RunStart, 'sample'>, context: SampleContext) {
    const { samples } = start.args;
    this.runs = Array.from({ length: samples ?? 1 }, (_, i) =>
      newRun({ ...start, seed: start.seed + i, sample: samples === undefined ? null : i }),
    );
    this.#context = context;
  }

  /** One after the other, made when it is its turn. */
  *requests(): Generator<Sample, void> {
    const { args, prompt, engine, withoutToken, prompts, options } = this.#context;
    for (const run of this.runs) {
      const isFirst = run === this.runs[0];
      yield {
        run,
        promptIds: run.promptIds,
        sampler: makeSampler(args, run.seed, withoutToken),
        stops: args.stop,
        options: {
          ...loopOptions(args, prompt, engine.config),
          ...options,
          onPromptLogits: isFirst ? notePrompt(run) : undefined,
          promptCache: isFirst ? (prompts ?? undefined) : undefined,
        },
        stats: run.stats,
      };
    }
  }

  /** Tells a run that has ended what it could not see: the prompt was run before it, on the clock of the first. */
  finish(run: GenerateRun): void {
    const { engine, prompts } = this.#context;
    const [first] = this.runs as [GenerateRun];
    run.engine = run.cache ? engine.name : 'eager';
    run.promptCache = prompts?.report ?? null;
    if (run === first) {
      return;
    }
    const { stats } = run;
    stats.firstTokenMs = stats.firstTokenMs === null ? null : stats.firstTokenMs + stats.loadMs - first.stats.loadMs;
    stats.loadMs = first.stats.loadMs;
    stats.promptMs = first.stats.promptMs;
    stats.reusedTokens = first.stats.reusedTokens;
    run.promptLogprobs?.push(...(first.promptLogprobs ?? []));
  }
}
