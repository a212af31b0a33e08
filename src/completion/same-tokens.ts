// A second model that guesses for another: it must have the same tokens. Knows nothing of where models come from.

import type { Engine } from '../engine/engine.js';
import { KvgenError } from '../errors.js';
import { DraftModel } from '../generation/draft-model.js';
import type { Drafter } from '../generation/drafts.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { TextModel } from './text-bounds.js';

/** What guesses for the sequences of `engine`. @param draft the engine of the second model; null: there is none */
export function drafterOf(draft: Engine | null, engine: Engine): (() => Drafter) | undefined {
  return draft === null ? undefined : () => new DraftModel(draft, engine.parameters);
}

/**
 * @param name the option that named the draft model
 * @throws KvgenError that says where the tokens of the two differ
 */
export function checkSameTokens(model: TextModel, draft: TextModel, name: string): void {
  const difference = differenceOf(model, draft);
  if (difference !== null) {
    const advice = 'name a model with the same tokenizer';
    throw new KvgenError(`${name} ${draft.dir}: expected the tokens of ${model.dir}, ${difference}; ${advice}`);
  }
}

function differenceOf(model: TextModel, draft: TextModel): string | null {
  const { vocabSize } = model.config;
  if (draft.config.vocabSize !== vocabSize) {
    return `${vocabSize} of them, found ${draft.config.vocabSize}`;
  }
  const [ours, theirs] = [model.tokenizer, draft.tokenizer];
  if (ours === null || theirs === null) {
    return null; // ids are all that there is to compare
  }
  const words = (tokenizer: Tokenizer, id: number) =>
    tokenizer.has(id) ? JSON.stringify(Buffer.from(tokenizer.bytes(id)).toString('latin1')) : 'no token';
  for (let id = 0; id < vocabSize; id++) {
    const [expected, found] = [words(ours, id), words(theirs, id)];
    if (expected !== found) {
      return `${expected} for id ${id}, found ${found}`;
    }
  }
  return null;
}
