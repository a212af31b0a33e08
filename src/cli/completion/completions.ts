// What every shell completes: the options of a command, what their values are, and the words behind it. Knows no shell.

import { optionsOf, type TypedOption } from '../../settings.js';
import type { CommandRow } from '../shell/command.js';

/** The first is the command that runs without a name. */
export type Commands = readonly [CommandRow, ...CommandRow[]];

/** What a value or a word is; undefined: anything, which nothing can offer. */
export type Offer = readonly string[] | 'files' | 'models' | 'sessions' | undefined;

/** All spellings of the options of a command. */
export function formsOf({ settings }: CommandRow): string[] {
  return [...optionsOf(settings).flatMap(({ forms }) => forms), '-h', '--help', '-V', '--version'];
}

/** What follows the option; null: it takes no value. */
export function valueOffer({ setting: { kind } }: TypedOption): Offer | null {
  return kind.value === undefined ? null : (kind.choices ?? kind.completes);
}

/** What the words behind the command are. */
export function wordsOf({ actions, takes }: CommandRow): Offer {
  return actions ?? takes;
}

/** All spellings of the options of all commands whose values are of that kind. */
export function formsThatTake(commands: Commands, wanted: 'files' | 'models'): string[] {
  const options = commands.flatMap(({ settings }) => optionsOf(settings));
  return [...new Set(options.filter((option) => valueOffer(option) === wanted).flatMap(({ forms }) => forms))];
}

/** The options of all commands whose values are choices, once each. */
export function optionsWithChoices(commands: Commands) {
  const found = new Map<string, { readonly forms: readonly string[]; readonly choices: readonly string[] }>();
  for (const option of commands.flatMap(({ settings }) => optionsOf(settings))) {
    const choices = valueOffer(option);
    if (Array.isArray(choices) && !found.has(option.long)) {
      found.set(option.long, { forms: option.forms, choices });
    }
  }
  return [...found.values()];
}

/** A shell would evaluate others, such as a folder called `$(reboot)`. */
export function isPlainName(name: string): boolean {
  return /^[\w@+][\w.@+-]*(\/[\w.@+-]+)?$/.test(name);
}
