// One of the texts that were asked for, before and after it is made: what the report and the answer cache need of it.

import type { Completion } from '../../completion/complete.js';
import type { Prompt } from '../../completion/request.js';
import type { PromptCacheReport } from '../../generation/saved-prompts.js';
import type { VerifyReport } from '../../generation/verify.js';
import type { TokenLogprob } from '../../sampling/logprobs.js';
import type { GenerateArgs } from '../../settings.js';
import type { Tokenizer } from '../../text/tokenizer.js';

/** What a text is computed on. */
export interface Machine {
  readonly backend: string;
  readonly threads: number;
}

/** A text before it is made. */
export interface TextRun {
  readonly model: string;
  readonly machine: Machine;
  readonly args: GenerateArgs;
  readonly prompt: Prompt;
  readonly tokenizer: Pick<Tokenizer, 'bytes'> | null;
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
