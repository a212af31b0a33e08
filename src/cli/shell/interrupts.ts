// Ctrl-C and SIGTERM: the first signal asks the running work to stop, the second ends the process at once.
// Hands out an AbortSignal, and knows nothing of the work that it stops.

import { EXIT } from '../../errors.js';

const CODES = { SIGINT: EXIT.sigint, SIGTERM: EXIT.sigterm } as const;

/** `exitCode` gives the exit code that the received signal means; undefined: none was received. */
export function catchInterrupts(): { readonly signal: AbortSignal; exitCode(): number | undefined } {
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
