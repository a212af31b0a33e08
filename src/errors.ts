// The errors that a person is to read, and the exit codes that they cause. A message is one short line: what, where,
// expected and found, next step. Knows nothing of streams; cli/shell/ prints the messages.

export const EXIT = { ok: 0, failure: 1, usage: 2, sigint: 130, sigterm: 143 } as const;

/** Characters of the longest message. With `kvgen: ` in front of it a line has fewer than 300. */
const MAX_MESSAGE = 290;

/** An error that a person can mend. Any other error is a bug. */
export class KvgenError extends Error {
  override readonly name: string = 'KvgenError';
  readonly exitCode: number = EXIT.failure;

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
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
  return oneLine(error instanceof Error ? error.message : String(error));
}

/** A message in one line. A long one loses its middle: it begins with the place and ends with what to do. */
export function oneLine(message: string): string {
  const few = cutMiddle(message, 4 * MAX_MESSAGE); // the pattern below takes quadratic time on long white space
  return cutMiddle(few.replace(/\s*[\r\n]\s*/g, ' '), MAX_MESSAGE);
}

/** At most `length` UTF-16 units of a text: its beginning and its end. No character is cut in two. */
export function cutMiddle(text: string, length: number): string {
  if (text.length <= length) {
    return text;
  }
  const end = Math.floor((length - 3) / 2);
  const beginning = text.slice(0, length - 3 - end).replace(/[\ud800-\udbff]$/, '');
  return `${beginning} … ${text.slice(-end).replace(/^[\udc00-\udfff]/, '')}`;
}

/** What of a value is shown: characters of a text, members of a list or an object, lists within lists. */
const SHOWN = { characters: 80, members: 8, depth: 3 };

/** A value of JSON as messages show it: as JSON, but only the beginning of what is long or deep. */
export function shown(value: unknown): string {
  return value === undefined ? 'nothing' : brief(value, SHOWN.depth);
}

function brief(value: unknown, depth: number): string {
  if (typeof value !== 'object' || value === null) {
    const text = typeof value === 'string' ? JSON.stringify(cutMiddle(value, SHOWN.characters)) : String(value);
    return text;
  }
  const isList = Array.isArray(value);
  const keys = Object.keys(value);
  const members = depth === 0 ? [] : keys.slice(0, SHOWN.members);
  const texts = members.map((key) => {
    const member = brief((value as Record<string, unknown>)[key], depth - 1);
    return isList ? member : `${brief(key, 0)}:${member}`;
  });
  const all = [...texts, ...(keys.length > members.length ? ['…'] : [])].join();
  return isList ? `[${all}]` : `{${all}}`;
}

/** A size as messages and tables show it: `1.6 MB`. */
export function megabytes(bytes: number, digits = 1): string {
  return `${(bytes / 1e6).toFixed(digits)} MB`;
}
