// What scoring needs, of choices and of a text, on a model here or on a server.

import type { TextModel } from '../../completion/text-bounds.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Invocation } from '../shell/command.js';
import type { ScoreArgs } from '../shell/command-settings.js';

export interface ScoreRun extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly args: ScoreArgs;
  /** Whose tokens are scored. */
  readonly textModel: TextModel;
  readonly tokenizer: Tokenizer;
  /** Ids that the context holds. */
  readonly nCtx: number;
}

export interface ScoreInput {
  /** The prompt of choices, or the text that is scored; undefined: the prompt came as ids. */
  readonly text: string | undefined;
  readonly choices: readonly string[];
}
