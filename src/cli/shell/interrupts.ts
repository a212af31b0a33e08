// Ctrl-C and SIGTERM: the first signal asks the running work to stop, the second ends the process at once.
// Hands out an AbortSignal, and knows nothing of the work that it stops.

import { EXIT } from '../../errors.js';

const CODES = { SIGINT: EXIT.sigint, SIGTERM: EXIT.sigterm } as const;
type Name = keyof typeof CODES;

/** Milliseconds for threads to end once the work is over. */
const PATIENCE = 300;

export interface Interrupts {
  readonly signal: AbortSignal;
  /**
   * The exit code that the received signal means; undefined: none was received.
   * @param endsBySigterm is SIGTERM the usual end?
   */
  exitCode(endsBySigterm: boolean): number | undefined;
  /**
   * The work is over, and the process ends by itself with its exit code, unless it is stuck: then the signal ends it as it
   * ends any other process.
   * @param isStuck whether a thread is in a call that nothing can stop, and all output has gone
   */
  finish(isStuck: () => boolean): void;
}

export function catchInterrupts(): Interrupts {
  const controller = new AbortController();
  let received: Name | undefined;
  let finished = false;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (finished) {
        endBySignal(name);
      } else if (received !== undefined) {
        process.exit(CODES[received]);
      }
      received = name;
      controller.abort(new Error(`stopped by ${name}`));
    });
  }
  return {
    signal: controller.signal,
    exitCode: (endsBySigterm) => {
      const isUsual = endsBySigterm && received === 'SIGTERM';
      return received === undefined ? undefined : isUsual ? EXIT.ok : CODES[received];
    },
    finish(isStuck) {
      finished = true;
      const name = received;
      if (name !== undefined) {
        const look = () => (isStuck() ? endBySignal(name) : undefined);
        setInterval(look, PATIENCE).unref(); // alone it keeps no process alive
      }
    },
  };
}

function endBySignal(name: Name): void {
  process.removeAllListeners(name);
  process.kill(process.pid, name);
}
