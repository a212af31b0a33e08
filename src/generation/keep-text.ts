// At the end of a sequence: what was generated goes to the prompt cache, so that a prompt that contains it starts behind
// it. Knows nothing of where that keeps it.

import type { Engine } from '../engine/engine.js';
import type { KvCache } from '../engine/kv-cache.js';
import type { Sequence } from './sequence.js';

/** @param place which of the sequences in `cache` it is */
export function keepText(engine: Engine, sequence: Sequence, cache: KvCache, place: number): void {
  const { promptCache } = sequence.options;
  const text = sequence.ranText();
  if (promptCache?.keepText === undefined || text === null) {
    return;
  }
  const isAlone = cache.lengths.length === 1;
  const own = isAlone ? cache : engine.gather([{ cache, places: [place] }]);
  try {
    own.truncate(text.ids.length); // without the rest of a draft
    promptCache.keepText({ ...text, cache: own });
  } finally {
    isAlone || own.dispose();
  }
}
