// The threads that were told to end and have not ended yet. One may be in a call that nothing can stop, such as the parsing
// of a large file, and the process cannot end by itself before it.

import type { Worker } from 'node:worker_threads';

const ending = new Set<Worker>();

/** Ends the thread as soon as it can be ended. */
export function endThread(worker: Worker): void {
  ending.add(worker);
  worker.once('exit', () => ending.delete(worker));
  worker.ref(); // the process would wait for it anyhow, and see no signal meanwhile
  void worker.terminate();
}

export function isThreadEnding(): boolean {
  return ending.size > 0;
}
