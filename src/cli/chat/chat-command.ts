// `kvgen chat`: talks to a model, or writes with it turn by turn. Opens the model and the session; what is said comes from a
// person at a terminal, or a turn a line from elsewhere.

import { EXIT, KvgenError } from '../../errors.js';
import { TURNS } from '../../files/file-kinds.js';
import { LONGEST, linesOf } from '../../files/lines.js';
import { folderSource, type Model, openModel } from '../../library/model.js';
import { checkCacheEnvironment, checkDraftModel, wantsPromptCache } from '../../settings.js';
import { Chats } from '../../store/chats.js';
import { type FoundModel, findModel } from '../../weights/find.js';
import { noteContext, onOpening, openDraftModel, savedFor } from '../generate/opening.js';
import type { Saved } from '../generate/saved.js';
import { cacheKey } from '../shell/cache-key.js';
import type { Invocation } from '../shell/command.js';
import { CHAT, type ChatArgs } from '../shell/command-settings.js';
import { decodeUtf8, openNamed } from '../shell/prompt-input.js';
import { noteLiteralStop, withUnescapedStops } from '../shell/unescape.js';
import { generateArgs, withSaved } from './chat-settings.js';
import { checkName, loadSession, Talk } from './talk.js';
import { talkOnTerminal } from './talk-on-terminal.js';

export async function chatCommand(invocation: Invocation): Promise<number> {
  const { words, terminal } = invocation;
  const [name] = words;
  const given = withUnescapedStops(invocation.settings(CHAT));
  checkArgs(given, name);
  await terminal.configure(given);
  noteLiteralStop(given, terminal);
  const chats = new OpenChats(invocation);
  const session = name === undefined ? undefined : await loadSession(await chats.find(), name);
  const args = session === undefined ? given : withSaved(given, session.settings);
  return withModel(invocation, args, async (opened) => {
    const equipment = { ...opened, terminal, chats: () => chats.make() };
    const talk = new Talk(equipment, args, name, session);
    try {
      if (given.system !== undefined) {
        talk.conversation.system = given.system;
      }
      await (isPerson(terminal) ? talkOnTerminal(invocation, talk, chats) : talkOnLines(invocation, talk));
    } finally {
      talk.dispose();
    }
    return EXIT.ok;
  });
}

/** @throws UsageError for what cannot go together */
function checkArgs(args: ChatArgs, name: string | undefined): void {
  if (name !== undefined) {
    checkName(name);
  }
  const all = generateArgs(args, 1);
  checkDraftModel(all);
  checkCacheEnvironment({ ...all, ...savedWith(args, name) });
}

/** A session's keys and values are saved, unless that is turned off. */
function savedWith({ promptCache, cache }: ChatArgs, name: string | undefined): { promptCache?: boolean } {
  return promptCache === undefined && name !== undefined ? { promptCache: cache } : {};
}

type Opened = Pick<ConstructorParameters<typeof Talk>[0], 'model' | 'draft' | 'template' | 'saved'>;

async function withModel(
  { terminal, signal }: Invocation,
  args: ChatArgs,
  work: (opened: Opened) => Promise<number>,
): Promise<number> {
  const found = findModel(args.model);
  const source = await folderSource(found, signal);
  const all = generateArgs(args, 1);
  noteContext(args, source.shape.config, terminal);
  const model = await openModel(source, onOpening(all, terminal, signal));
  let draft: Model | null = null;
  try {
    draft = await openDraftModel(all, model, terminal, signal);
    if (model.tokenizer === null) {
      throw new KvgenError(`${model.dir}: a chat needs a tokenizer, and the folder has none`);
    }
    const disk = new Disk({ terminal, signal }, args, found, source);
    const saved = (name: string | undefined) => disk.open(name);
    const template = await model.chatTemplate();
    terminal.progressDone();
    return await work({ model, draft, template, saved });
  } finally {
    model.dispose();
    draft?.dispose();
  }
}

/** Where keys and values are saved: with a session's name, or where it is asked for. */
class Disk {
  readonly #invocation: Pick<Invocation, 'terminal' | 'signal'>;
  readonly #args: ChatArgs;
  readonly #found: FoundModel;
  readonly #source: Awaited<ReturnType<typeof folderSource>>;
  #opened: Promise<Saved | null> | undefined;

  constructor(
    invocation: Pick<Invocation, 'terminal' | 'signal'>,
    args: ChatArgs,
    found: FoundModel,
    source: Awaited<ReturnType<typeof folderSource>>,
  ) {
    this.#invocation = invocation;
    this.#args = args;
    this.#found = found;
    this.#source = source;
  }

  /** null: they are not. */
  async open(name: string | undefined): Promise<Saved | null> {
    if (!wantsPromptCache({ ...this.#args, ...savedWith(this.#args, name) }, process.env)) {
      return null;
    }
    this.#opened ??= this.#open();
    return this.#opened;
  }

  async #open(): Promise<Saved | null> {
    const args = { ...generateArgs(this.#args, 1), promptCache: true };
    const saved = await savedFor(args, this.#found, this.#invocation);
    await saved?.identify(this.#source.folder);
    return saved;
  }
}

/** The folder of sessions, opened when it is needed. */
export class OpenChats {
  readonly #invocation: Pick<Invocation, 'terminal' | 'signal'>;
  #made: Promise<Chats | undefined> | undefined;

  constructor(invocation: Pick<Invocation, 'terminal' | 'signal'>) {
    this.#invocation = invocation;
  }

  /** undefined: there is none yet. */
  find(): Promise<Chats | undefined> {
    return this.#made ?? this.#open(false);
  }

  /** undefined: it cannot be made; a note has said why. */
  make(): Promise<Chats | undefined> {
    this.#made ??= this.#open(true);
    return this.#made;
  }

  async #open(make: boolean): Promise<Chats | undefined> {
    const { terminal, signal } = this.#invocation;
    return Chats.open(make, await cacheKey(process.env, signal), (line) => terminal.note(line));
  }
}

/** Is there somebody who types, and sees it? */
function isPerson({ stdinIsTerminal, stdoutIsTerminal, stderrIsTerminal }: Invocation['terminal']): boolean {
  return stdinIsTerminal && (stdoutIsTerminal || stderrIsTerminal);
}

/** Every line is a turn, whatever is in it. @throws KvgenError for a line that cannot be said */
async function talkOnLines({ terminal, signal }: Invocation, talk: Talk): Promise<void> {
  const input = await openNamed('-', TURNS, terminal);
  const stopped = AbortSignal.any([signal, terminal.closed]);
  try {
    for await (const { number, bytes } of linesOf(input, stopped)) {
      if (bytes === null) {
        throw new KvgenError(`stdin: line ${number}: expected at most ${LONGEST}, found more`);
      }
      await talk.say(decodeUtf8(bytes, `stdin, line ${number}`).replace(/\r$/, ''), stopped);
      if (stopped.aborted) {
        return;
      }
    }
  } finally {
    await input.close();
  }
}
