// What a person may type instead of a message: lines that begin with `/`. Knows nothing of how lines are typed.

import { KvgenError, megabytes, shown } from '../../errors.js';
import { PROMPT } from '../../files/file-kinds.js';
import { readUtf8 } from '../shell/prompt-input.js';
import type { Terminal } from '../shell/terminal.js';
import { changed, namesOfSettings, shownSettings } from './chat-settings.js';
import { checkName, type Talk } from './talk.js';

/** What follows a command. */
export type Next =
  | { readonly kind: 'go on' | 'exit' }
  /** Runs a turn. */
  | { readonly kind: 'retry' }
  /** The next line begins with this text. */
  | { readonly kind: 'edit'; readonly text: string }
  /** Comes before the next message. */
  | { readonly kind: 'attach'; readonly text: string };

interface Place {
  readonly talk: Talk;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

interface Command {
  readonly takes: string;
  readonly words: string;
  run(place: Place, rest: string): Promise<Next> | Next;
}

const GO_ON: Next = { kind: 'go on' };

const COMMANDS: Readonly<Record<string, Command>> = {
  undo: { takes: '', words: 'take back the last turn', run: undo },
  retry: { takes: '', words: 'another answer to it', run: () => ({ kind: 'retry' }) },
  edit: { takes: '', words: 'take it back and change your words', run: edit },
  system: { takes: '[text]', words: 'what the model is told first; "" for nothing', run: system },
  set: { takes: '[option value]', words: 'change an option, such as temp 0.5; alone: show them', run: set },
  tokens: { takes: '', words: 'how long the conversation is', run: tokens },
  cache: { takes: '', words: 'what is kept of it, and what the last turn reused', run: cache },
  save: { takes: '<name>', words: 'keep it under a name, from now on at every turn', run: save },
  load: { takes: '<name>', words: 'go on with one that was kept', run: load },
  read: { takes: '<file>', words: 'put a file before your next message', run: read },
  help: { takes: '', words: 'this list', run: help },
  exit: { takes: '', words: 'leave, as Ctrl-D does', run: () => ({ kind: 'exit' }) },
};

/** Is the line a command? `//` is a message that begins with `/`. */
export function isCommand(line: string): boolean {
  return line.startsWith('/') && !line.startsWith('//');
}

/** @throws KvgenError for what cannot be done, UsageError for what is no value */
export async function runCommand(line: string, place: Place): Promise<Next> {
  const [, name = '', rest = ''] = /^\/(\S*)\s*([\s\S]*)$/.exec(line) ?? [];
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    throw new KvgenError(`/${name}: there is no such command; /help lists them, and //${name} is a message`);
  }
  const text = rest.trim();
  if ((command.takes === '' && text !== '') || (command.takes.startsWith('<') && text === '')) {
    throw new KvgenError(`expected ${`/${name} ${command.takes}`.trim()}, got ${shown(line)}`);
  }
  return command.run(place, text);
}

/** What a line that begins with `/` may go on with. */
export function completions(line: string): string[] {
  const setting = /^\/set (\S*)$/.exec(line);
  if (setting !== null) {
    return namesOfSettings().flatMap((name) => (name.startsWith(setting[1] as string) ? `/set ${name} ` : []));
  }
  return Object.keys(COMMANDS).flatMap((name) => (line !== '' && `/${name}`.startsWith(line) ? `/${name}` : []));
}

async function undo({ talk, terminal }: Place): Promise<Next> {
  takeBack(talk);
  await talk.save();
  terminal.log(`The last turn is taken back; ${lengthOf(talk)}.`);
  return GO_ON;
}

async function edit({ talk }: Place): Promise<Next> {
  const text = takeBack(talk);
  await talk.save();
  return { kind: 'edit', text };
}

/** @throws KvgenError where there is nothing to take back */
function takeBack(talk: Talk): string {
  const turn = talk.conversation.undo();
  if (turn === undefined) {
    throw new KvgenError('nothing was said yet');
  }
  return turn.user;
}

async function system({ talk, terminal }: Place, text: string): Promise<Next> {
  if (text !== '') {
    talk.conversation.system = text === '""' ? undefined : text;
    await talk.save();
  }
  terminal.log(talk.conversation.system ?? 'The model is told nothing, but for what its template says.');
  return GO_ON;
}

function set({ talk, terminal }: Place, rest: string): Next {
  const [, option = '', value = ''] = /^(\S*)\s*([\s\S]*)$/.exec(rest) ?? [];
  if (option === '') {
    terminal.log(shownSettings(talk.args).join('\n'));
    return GO_ON;
  }
  if (value === '') {
    throw new KvgenError(`expected /set option value, got /set ${option}`);
  }
  talk.change(changed(talk.args, option, value));
  return GO_ON;
}

function tokens({ talk, terminal }: Place): Next {
  terminal.log(`${capital(lengthOf(talk))}.`);
  return GO_ON;
}

function lengthOf({ conversation, contextSize }: Talk): string {
  const { turns, tokens } = conversation;
  return `${turns.length} turn${turns.length === 1 ? '' : 's'}, ${tokens} of ${contextSize} tokens`;
}

function cache({ talk, terminal }: Place): Next {
  const { last, args, name } = talk;
  if (!args.cache) {
    terminal.log('Off: every turn runs all that was said.');
    return GO_ON;
  }
  const { cachePositions = 0, cacheBytes = 0, reusedTokens = 0 } = last?.stats ?? {};
  const prompt = last?.promptIds.length ?? 0;
  terminal.log(
    [
      `${cachePositions} positions, ${megabytes(cacheBytes)}`,
      `last turn: ${reusedTokens} of ${prompt} tokens reused, ${prompt - reusedTokens} run`,
      `on disk: ${talk.isOnDisk ? 'at every turn' : 'no'}${name === undefined ? '' : `; session ${name}`}`,
    ].join('\n'),
  );
  return GO_ON;
}

async function save({ talk, terminal }: Place, name: string): Promise<Next> {
  await talk.save(checkName(name));
  terminal.log(`Session ${name} is kept; \`kvgen chat ${name}\` goes on with it.`);
  return GO_ON;
}

async function load({ talk, terminal }: Place, name: string): Promise<Next> {
  await talk.load(checkName(name));
  terminal.log(`Session ${name}: ${lengthOf(talk)}.`);
  return GO_ON;
}

async function read({ terminal, signal }: Place, path: string): Promise<Next> {
  const text = await readUtf8(path, PROMPT, { terminal, signal });
  terminal.log(`${text.length} characters of ${path} come before your next message.`);
  return { kind: 'attach', text };
}

function help({ terminal }: Place): Next {
  const rows = Object.entries(COMMANDS).map(([name, { takes, words }]) => [`/${name} ${takes}`, words] as const);
  const width = Math.max(...rows.map(([left]) => left.length));
  terminal.log(
    [
      ...rows.map(([left, words]) => `  ${left.padEnd(width)}  ${words}`),
      '',
      'Several lines: between """ and """, or \\ at the end of a line. Ctrl-C stops an answer, Ctrl-D leaves.',
    ].join('\n'),
  );
  return GO_ON;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
