// tfjs-node's native binding with some of its functions replaced, for tests that watch or break it.

import { type Binding, nodeBackend } from '../../src/tf/binding.js';

/** Runs `body` with these in place of the binding's own. */
export function withBinding<T>(changes: Partial<Binding>, body: () => T): T {
  const backend = nodeBackend();
  const { binding } = backend;
  const descriptors = Object.entries(changes).map(([name, value]) => [name, { value }]);
  backend.binding = Object.create(binding, Object.fromEntries(descriptors));
  try {
    return body();
  } finally {
    backend.binding = binding;
  }
}

/** How many recordings were replayed meanwhile. */
export function countReplays(body: () => void): number {
  const { binding } = nodeBackend();
  let count = 0;
  const runSavedModel: Binding['runSavedModel'] = (...args) => {
    count++;
    return binding.runSavedModel(...args);
  };
  withBinding({ runSavedModel }, body);
  return count;
}
