// What scoring needs, of choices and of a text, on a model here or on a server.

import type { Tokenizer } from '../../text/tokenizer.js';
import type { Invocation } from '../shell/command.js';
import type { ScoreArgs } from '../shell/command-settings.js';

export interface ScoreRun extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly args: ScoreArgs;
  readonly tokenizer: Tokenizer;
  /** The ids of a prompt, with what the tokenizer puts before a text. */
  promptIds(text: string): Promise<readonly number[]>;
  /** @throws KvgenError for an id that the model does not have */
  check(ids: readonly number[]): void;
  /** Ids that the context holds. */
  readonly nCtx: number;
}

export interface ScoreInput {
  /** The prompt of choices, or the text that is scored; undefined: the prompt came as ids. */
  readonly text: string | undefined;
  readonly choices: readonly string[];
}
