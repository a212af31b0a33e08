// The errors that a person is to read, and the exit codes that they cause. A message is one line: what, where, expected
// and found, next step. Knows nothing of streams; cli/shell/ prints the messages.

export const EXIT = { ok: 0, failure: 1, usage: 2, sigint: 130, sigterm: 143 } as const;

/** An error that a person can mend. Any other error is a bug. */
export class KvgenError extends Error {
  override readonly name: string = 'KvgenError';
  readonly exitCode: number = EXIT.failure;
}

/** An error that the arguments and the environment alone decide. */
export class UsageError extends KvgenError {
  override readonly name = 'UsageError';
  override readonly exitCode = EXIT.usage;
}

/** The system's code of a failed call, such as `ENOENT`; undefined for any other error. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The message of whatever was thrown, in one line. */
export function errorMessage(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, ' ');
}

/** A size as messages and tables show it: `1.6 MB`. */
export function megabytes(bytes: number, digits = 1): string {
  return `${(bytes / 1e6).toFixed(digits)} MB`;
}
