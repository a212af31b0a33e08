// Which argument of `kvgen view` is a run that was recorded and not a prompt, and what then makes no sense beside it.

import { isDeepStrictEqual } from 'node:util';
import { KvgenError, UsageError } from '../../errors.js';
import { RECORD } from '../../files/file-kinds.js';
import { look } from '../../files/look.js';
import { openFile } from '../../files/open-file.js';
import { optionsOf, settingsOf } from '../../settings.js';
import type { Invocation } from '../shell/command.js';
import { VIEW, type ViewArgs } from '../shell/command-settings.js';

/** The settings that count when a page is drawn again. */
const DRAWING: readonly string[] = ['output', 'verbose', 'quiet', 'color'];

/** What --record writes begins with this, whatever the name of the file. */
const BEGINNING = '{"format":"kvgen-run"';

/** What looks like a file's name and is hardly a prompt: a mistyped one must not start a run that writes over a page. */
const NAME = /^\S{1,250}\.json$/;

/**
 * The file of a recorded run; undefined: there is none, so a text is made.
 * @throws UsageError for options of a run that is not made, KvgenError for a record that is not there
 */
export async function recordedRun({ words: [word], literal }: Invocation, args: ViewArgs): Promise<string | undefined> {
  if (word === undefined || literal || !(await isRecord(word))) {
    return undefined;
  }
  const option = optionsOf(VIEW).find(({ name, negates }) => isGiven(name as keyof ViewArgs, args, negates));
  if (option !== undefined) {
    throw new UsageError(
      `${option.long} cannot go with ${word}, a run that was recorded; as a prompt: kvgen view -- ${word}`,
    );
  }
  return word;
}

/** Is it a file that is called .json, or one that begins as a record does? @throws KvgenError for a name of a record and no file */
async function isRecord(word: string): Promise<boolean> {
  if (look(word, () => {})?.isFile() === true) {
    return word.endsWith('.json') || (await beginningOf(word)) === BEGINNING;
  }
  if (NAME.test(word)) {
    throw new KvgenError(`${word}: no file has this name; as a prompt: kvgen view -- ${word}`);
  }
  return false;
}

async function beginningOf(path: string): Promise<string> {
  const bytes = Buffer.alloc(BEGINNING.length);
  try {
    const file = await openFile(path, RECORD);
    await file.read(bytes, 0).finally(() => file.close());
  } catch {
    return ''; // what cannot be read is no record
  }
  return bytes.toString('latin1');
}

/** Has it another value than by default? What a variable says is not for this command alone. */
function isGiven(name: keyof ViewArgs, args: ViewArgs, negates: boolean): boolean {
  const { env } = VIEW[name] as { readonly env?: string };
  const isFromEnvironment = env !== undefined && (process.env[env] ?? '') !== '';
  const defaults: ViewArgs = settingsOf(VIEW, {});
  const isSame = isDeepStrictEqual(args[name], defaults[name]);
  const isTyped = typeof args[name] !== 'boolean' || args[name] === !negates;
  return !DRAWING.includes(name) && !isFromEnvironment && !isSame && isTyped;
}
