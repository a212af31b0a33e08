// `kvgen setup`, and what npm's postinstall does: put a native engine in place and say which one it is.

import { EXIT } from '../errors.js';
import { interruptible } from '../native/interrupt.js';
import { type ProvisionOptions, provision } from '../native/provision.js';
import { describeEngine } from '../native/report.js';

/** The exit code: 1 when there is no native engine at the end. `where` replaces folders and pins in tests. */
export async function setup(io: { log(line: string): void }, where: Partial<ProvisionOptions> = {}): Promise<number> {
  const log = (line: string) => io.log(`kvgen: ${line}`);
  const outcome = await interruptible((signal) => provision({ ...where, log, signal }));
  if (typeof outcome === 'number') {
    return outcome;
  }
  log(describeEngine(outcome));
  return outcome.engine === 'native' ? EXIT.ok : EXIT.failure;
}
