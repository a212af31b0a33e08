// What scoring needs, of choices and of a text.

import type { Model } from '../../library/model.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Saved } from '../generate/saved.js';
import type { Invocation } from '../shell/command.js';
import type { ScoreArgs } from '../shell/command-settings.js';

export interface ScoreRun extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly args: ScoreArgs;
  readonly saved: Saved | null;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Ids that the context holds. */
  readonly nCtx: number;
}
