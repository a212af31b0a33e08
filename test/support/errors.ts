// What every error for the user must be: a KvgenError of one line that names things.

import { expect } from 'vitest';
import { KvgenError } from '../../src/errors.js';

/** Awaits the failure and checks its form; `fragments` must all stand in the message. */
export async function expectFailure(work: () => unknown, ...fragments: string[]): Promise<KvgenError> {
  let error: unknown;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(KvgenError);
  const { message } = error as KvgenError;
  expect(message).not.toMatch(/[\r\n]/);
  for (const fragment of fragments) {
    expect(message).toContain(fragment);
  }
  return error as KvgenError;
}
