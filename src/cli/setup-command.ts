// `kvgen setup`, and what npm's postinstall does: put a native engine in place and say which one it is.

import { EXIT } from '../errors.js';
import { type ProvisionOptions, provision } from '../native/provision.js';
import { describeEngine } from '../native/status.js';

/**
 * Returns the exit code: 1 when there is no native engine at the end. `where` replaces folders and pins in tests.
 * @throws the signal's reason, once what was begun has been taken away again
 */
export async function setup(
  { log, signal }: Pick<ProvisionOptions, 'log' | 'signal'>,
  where: Partial<ProvisionOptions> = {},
): Promise<number> {
  const say = (line: string) => log(`kvgen: ${line}`);
  const outcome = await provision({ ...where, log: say, signal });
  say(describeEngine(outcome));
  return outcome.engine === 'native' ? EXIT.ok : EXIT.failure;
}
