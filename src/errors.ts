// What can go wrong, and the exit code it means. Every message is one line: what, where, expected and
// found, next step. Knows nothing of streams: the shell prints these.

/** Exit codes of the command line, as documented in the README. */
export const EXIT = { ok: 0, failure: 1, usage: 2, sigint: 130, sigterm: 143 } as const;

/** An error whose message is meant for the person at the terminal; anything else is a bug. */
export class KvgenError extends Error {
  override readonly name: string = 'KvgenError';
  readonly exitCode: number = EXIT.failure;
}

/** What can be decided from the arguments and the environment alone (exit 2). */
export class UsageError extends KvgenError {
  override readonly name = 'UsageError';
  override readonly exitCode = EXIT.usage;
}

/** The system's own word for a failed call (`ENOENT`, `EACCES`, …), or undefined. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** One line of an unknown thrown value. */
export function errorMessage(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, ' ');
}

/** A size in words, `1.6 MB`, as messages and tables have it. */
export function megabytes(bytes: number, digits = 1): string {
  return `${(bytes / 1e6).toFixed(digits)} MB`;
}
