// Which argument of `kvgen view` is a run that was recorded and not a prompt, and what then makes no sense beside it.

import { statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { UsageError } from '../../errors.js';
import { optionsOf, settingsOf } from '../../settings.js';
import type { Invocation } from '../shell/command.js';
import { VIEW, type ViewArgs } from '../shell/command-settings.js';

/** The settings that count when a page is drawn again. */
const DRAWING: readonly string[] = ['output', 'verbose', 'quiet', 'color'];

/**
 * The file of a recorded run; undefined: there is none, so a text is made.
 * @throws UsageError for options of a run that is not made
 */
export function recordedRun({ words, literal, terminal }: Invocation, args: ViewArgs): string | undefined {
  const [word] = words;
  if (word === undefined || literal || !word.endsWith('.json')) {
    return undefined;
  }
  if (statSync(word, { throwIfNoEntry: false })?.isFile() !== true) {
    terminal.note(`${word}: no file has this name, so it is the prompt`);
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

/** Has it another value than by default? What a variable says is not for this command alone. */
function isGiven(name: keyof ViewArgs, args: ViewArgs, negates: boolean): boolean {
  const { env } = VIEW[name] as { readonly env?: string };
  const isFromEnvironment = env !== undefined && (process.env[env] ?? '') !== '';
  const defaults: ViewArgs = settingsOf(VIEW, {});
  const isSame = isDeepStrictEqual(args[name], defaults[name]);
  const isTyped = typeof args[name] !== 'boolean' || args[name] === !negates;
  return !DRAWING.includes(name) && !isFromEnvironment && !isSame && isTyped;
}
