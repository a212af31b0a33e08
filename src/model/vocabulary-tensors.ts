// The matrices of a model whose rows are tokens: the embedding, and the one that gives the logits, which may be the same.
// Knows nothing of any one architecture.

import type { Architecture, ExpectedTensor, ModelConfig } from './config.js';

/** Where the config says tied, one of both will do, and a head that is stored beside the embedding is read too. */
export function vocabularyTensors(
  { vocabSize, nEmbd, tieWordEmbeddings }: Pick<ModelConfig, 'vocabSize' | 'nEmbd'> & { tieWordEmbeddings: boolean },
  { embedding, head }: Architecture['vocabulary'],
  stored: { has(name: string): boolean },
): { readonly first: ExpectedTensor; readonly last: ExpectedTensor | undefined } {
  const shape = [vocabSize, nEmbd];
  const isHeadAlone = tieWordEmbeddings && stored.has(head) && !stored.has(embedding);
  const first = { name: embedding, shape, isMatrix: true };
  const hasLast = !tieWordEmbeddings || (stored.has(head) && !isHeadAlone);
  return {
    first: isHeadAlone ? { ...first, storedAs: head } : first,
    last: hasLast ? { name: head, shape, isMatrix: true } : undefined,
  };
}
