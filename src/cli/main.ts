// The command line: finds the command, reads its options, prints errors. The only user of commander. The code of a
// command is loaded when it is called, so that --help, --version and usage errors load no TensorFlow.

import { homedir } from 'node:os';
import { Command, CommanderError, Option } from 'commander';
import { asOption, type Spelling, settleChoices } from '../backends.js';
import { EXIT, errorMessage, KvgenError, UsageError } from '../errors.js';
import { kvgenVersion } from '../native/status.js';
import { GENERATE, optionsOf, settingsOf, type TypedOption } from '../settings.js';
import { isThreadEnding } from '../text/ending-threads.js';
import { COMMANDS } from './commands.js';
import type { CommandRow, Invocation } from './shell/command.js';
import { catchInterrupts } from './shell/interrupts.js';
import { settleServer } from './shell/server-choice.js';
import { Terminal } from './shell/terminal.js';

/** Runs one command line. Sets the exit code and lets the process end by itself, so that no output is cut off. */
export async function main(argv: readonly string[]): Promise<void> {
  settleHome();
  const terminal = new Terminal();
  const interrupts = catchInterrupts();
  const { row, rest } = splitCommand(argv);
  try {
    process.exitCode = (await dispatch(row, rest, terminal, interrupts.signal)) ?? EXIT.ok;
  } catch (error) {
    process.exitCode = report(error, terminal, interrupts.signal);
  }
  const ofSignal = interrupts.exitCode(row.endsBySigterm === true);
  process.exitCode = ofSignal ?? (terminal.failed ? EXIT.failure : process.exitCode);
  interrupts.finish(() => isThreadEnding() && terminal.isWritten);
}

/** An empty HOME would mean the current folder. A user without a home gets a path that does not exist. */
function settleHome(): void {
  if (process.env.HOME === '') {
    delete process.env.HOME;
  }
  try {
    homedir();
  } catch {
    process.env.HOME = '/nonexistent';
  }
}

/** The first word names the command; anything else belongs to generate. */
function splitCommand(argv: readonly string[]): { row: CommandRow; rest: readonly string[] } {
  const [word] = argv;
  const row = commandOf(word);
  return row === undefined ? { row: COMMANDS[0], rest: argv } : { row, rest: argv.slice(1) };
}

function commandOf(word: string | undefined): CommandRow | undefined {
  return COMMANDS.find(({ name }) => name === word);
}

async function dispatch(row: CommandRow, argv: readonly string[], terminal: Terminal, signal: AbortSignal) {
  const action = argv.find((word) => row.actions?.includes(word));
  const command = buildCommand(row, terminal, action);
  let words: string[];
  try {
    words = command.parse(argv as string[], { from: 'user' }).args;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      return EXIT.ok; // --help and --version have answered
    }
    throw error instanceof CommanderError ? usageError(error, command) : error;
  }
  const literal = argv.at(-2) === '--';
  checkWords(row, words, literal);
  const values = optionValues(row, command, words[0]);
  const run = await row.load();
  const settings: Invocation['settings'] = (table) => settingsOf(table, values);
  return run({ words, literal, settings, terminal, signal, usage: () => command.helpInformation() });
}

/** What was given, as far as it goes together. */
function optionValues(row: CommandRow, command: Command, action: string | undefined): object {
  const { settings } = row;
  const isFromEnvironment = (name: string) => command.getOptionValueSource(name) === 'env';
  const spell: Spelling = (name, value) =>
    isFromEnvironment(name) ? `${settings[name]?.env}=${value}` : asOption(name, value);
  const values = settleServer(takenValues(row, command, action), settings, (name) =>
    command.getOptionValueSource(name),
  );
  return settleChoices(values, isFromEnvironment, spell);
}

/** The values of the settings that the action takes. @throws UsageError for an option of another action */
function takenValues(row: CommandRow, command: Command, action: string | undefined): object {
  const others = optionsOf(row.settings).filter(({ name }) => !isTaken(row, name, action));
  const given = others.find(({ name }) => command.getOptionValueSource(name) === 'cli');
  if (given !== undefined) {
    throw new UsageError(
      `${given.long} is for ${row.name} ${row.shared?.except}, got ${row.name} ${action ?? 'alone'}`,
    );
  }
  return Object.fromEntries(Object.entries(command.opts()).filter(([name]) => isTaken(row, name, action)));
}

/** Does the action take the setting? */
function isTaken({ shared }: CommandRow, setting: string, action: string | undefined): boolean {
  return shared === undefined || action === shared.except || shared.settings[setting] !== undefined;
}

function checkWords(row: CommandRow, words: readonly string[], literal: boolean): void {
  if (words.length > row.maxWords) {
    const hint = row.settings.file === GENERATE.file ? 'quote the prompt' : `\`kvgen ${row.name} --help\``;
    throw new UsageError(
      `expected at most ${row.maxWords} argument${row.maxWords === 1 ? '' : 's'}, got ${words.length}: ${hint}`,
    );
  }
  const [word] = words;
  if (row.name === 'generate' && commandOf(word) !== undefined && !literal) {
    throw new UsageError(`'${word}' is a command and comes first; as a prompt: kvgen -- ${word}`);
  }
}

function buildCommand(row: CommandRow, terminal: Terminal, action: string | undefined): Command {
  const command = new Command(row.name === 'generate' ? 'kvgen' : `kvgen ${row.name}`)
    .description(row.description)
    .usage(usage(row))
    .argument('[words...]')
    .version(kvgenVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .configureHelp({ visibleArguments: () => [], helpWidth: 100 })
    .configureOutput({ writeOut: (text) => void terminal.write(text), writeErr: () => {} })
    .addHelpText('before', `${row.examples.map((example) => `  $ ${example}`).join('\n')}\n`)
    .addHelpText('after', row.notes)
    .exitOverride();
  for (const option of optionsOf(row.settings)) {
    command.addOption(toOption(option, isTaken(row, option.name, action)));
  }
  return command;
}

function usage({ actions, usage }: CommandRow): string {
  return actions === undefined ? usage : `<${actions.join('|')}> ${usage}`.trimEnd();
}

/** @param isTaken false: its variable does not count */
function toOption({ flags, long, words, negates, setting }: TypedOption, isTaken: boolean): Option {
  const { fallback } = setting;
  const env = isTaken ? setting.env : undefined;
  const { choices, fromText } = setting.kind;
  const option = new Option(flags, words);
  if (fallback !== undefined && !negates) {
    const isEmpty = fallback instanceof Map || (Array.isArray(fallback) && fallback.length === 0);
    option.default(fallback, isEmpty ? 'none' : String(fallback));
  }
  if (choices !== undefined) {
    option.choices(choices);
  }
  if (fromText !== undefined) {
    option.argParser((text, previous) => {
      const isFromEnvironment = env !== undefined && process.env[env] === text;
      return fromText(text, isFromEnvironment ? env : long, previous);
    });
  }
  return env === undefined || process.env[env] === '' ? option : option.env(env);
}

function usageError(error: CommanderError, command: Command): UsageError {
  const [line = ''] = error.message.replace(/^error: /, '').split('\n');
  return new UsageError(`${line.replace(/\.$/, '')}; \`${command.name()} --help\` lists what there is`);
}

function report(error: unknown, terminal: Terminal, signal: AbortSignal): number {
  terminal.progressDone();
  if (signal.aborted) {
    return EXIT.failure; // the signal's exit code replaces it
  }
  if (process.env.KVGEN_DEBUG === '1' && error instanceof Error && error.stack !== undefined) {
    terminal.log(error.stack);
  } else {
    terminal.error(errorMessage(error));
  }
  return error instanceof KvgenError ? error.exitCode : EXIT.failure;
}
