// Who makes texts: the engine of this process, or a server. Both give the same events, so whoever writes them does not ask. Knows
// nothing of connections.

import type { Engine } from '../engine/engine.js';
import type { RequestSource } from '../generation/generate-many.js';
import type { TokenTexts } from '../text/detokenizer.js';
import { type CompletionEvent, completeMany } from './complete-many.js';
import type { CompletionRequest } from './request.js';

/** Makes texts of requests of the form `Q`. */
export interface Completer<Q> {
  /** @param concurrency how many texts are made together */
  complete<R extends Q>(source: RequestSource<R>, concurrency: number): AsyncGenerator<CompletionEvent<R>, void>;
}

/** @param tokenizer null: the model has none, and every text is empty */
export function localCompleter(engine: Engine, tokenizer: TokenTexts | null): Completer<CompletionRequest> {
  return { complete: (source, concurrency) => completeMany(engine, tokenizer, source, concurrency) };
}
