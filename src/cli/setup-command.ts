// `kvgen setup`, which npm's postinstall runs too: puts a native engine in place and says which one.

import { EXIT } from '../errors.js';
import { type ProvisionOptions, provision } from '../native/provision.js';
import { describeEngine } from '../native/status.js';

/**
 * @param where other folders and pins, for tests
 * @returns the exit code: 1 when there is no native engine in the end
 * @throws the signal's reason, after unfinished files have been removed
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
