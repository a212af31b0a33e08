// Ctrl-C and SIGTERM: the first one asks the running work to stop, the second ends the process at once.
// Knows nothing of what is stopped; it hands out an AbortSignal.

import { EXIT } from '../../errors.js';

const CODES = { SIGINT: EXIT.sigint, SIGTERM: EXIT.sigterm } as const;

export interface Interrupts {
  readonly signal: AbortSignal;
  /** The exit code that the received signal means; undefined when there was none. */
  exitCode(): number | undefined;
}

export function catchInterrupts(): Interrupts {
  const controller = new AbortController();
  let code: number | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (code !== undefined) {
        process.exit(code);
      }
      code = CODES[name];
      controller.abort(new Error(`stopped by ${name}`));
    });
  }
  return { signal: controller.signal, exitCode: () => code };
}
