// When a loop over tokens lets the event loop run: signals, timers and closed pipes are noticed only then. After each
// step it would cost as much as a step of a fast engine; after each long step it costs nothing.

import { setImmediate } from 'node:timers/promises';

/** Milliseconds after which it is due. */
const LONGEST_WAIT = 5;

export class EventLoop {
  /** When it ran last. */
  #ran = performance.now();

  get due(): boolean {
    return performance.now() - this.#ran >= LONGEST_WAIT;
  }

  async run(): Promise<void> {
    await setImmediate();
    this.#ran = performance.now();
  }
}
