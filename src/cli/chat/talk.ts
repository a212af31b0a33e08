// One chat of the command: says what it is told, writes the answer as it comes and then the statistics, and saves the session
// when it has a name. Knows nothing of how lines are typed.

import { stateFromJson, stateToJson, withIdsOf } from '../../chat/chat-json.js';
import { type ChatState, Conversation, type SayOptions, type Turn } from '../../chat/conversation.js';
import type { ChatTemplate } from '../../chat/prompt-template.js';
import { RememberedReturn } from '../../completion/complete.js';
import { contextSize } from '../../completion/request.js';
import { drafterOf } from '../../completion/same-tokens.js';
import { errorMessage, KvgenError, shown, UsageError } from '../../errors.js';
import { SavedText } from '../../generation/saved-text.js';
import { ANSWER_TOKENS } from '../../library/chat-session.js';
import type { Model } from '../../library/model.js';
import { randomSeed } from '../../sampling/random.js';
import type { Chats } from '../../store/chats.js';
import { statisticsLine } from '../generate/report.js';
import type { Saved } from '../generate/saved.js';
import type { ChatArgs } from '../shell/command-settings.js';
import { jsonText, printableText } from '../shell/escape.js';
import type { Terminal } from '../shell/terminal.js';
import { generateArgs, settingsToJson, withSaved } from './chat-settings.js';

/** The format of a session's file. */
const FORMAT = 1;
/** What every file system takes. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** What a talk is on. */
export interface Equipment {
  readonly model: Model;
  readonly draft: Model | null;
  /** null: the model continues the text. */
  readonly template: ChatTemplate | null;
  readonly terminal: Terminal;
  /** Where sessions are saved. */
  readonly chats: () => Promise<Chats | undefined>;
  /** Where keys and values are saved; null: nowhere. */
  readonly saved: (name: string | undefined) => Promise<Saved | null>;
}

/** A session as its file has it. */
export interface SavedSession {
  readonly settings: unknown;
  readonly seed: number | undefined;
  readonly state: ChatState;
}

export class Talk {
  args: ChatArgs;
  readonly #equipment: Equipment;
  #conversation: Conversation;
  /** undefined: it is not saved. */
  #name: string | undefined;
  #seed: number;
  /** Of the last turn; null: there was none. */
  last: Turn | null = null;

  constructor(equipment: Equipment, args: ChatArgs, name: string | undefined, from: SavedSession | undefined) {
    this.#equipment = equipment;
    this.args = args;
    this.#name = name;
    this.#seed = args.seed ?? from?.seed ?? randomSeed();
    this.#conversation = this.#begin(from);
    this.#settings(); // what cannot go together is refused before anything is said
  }

  get conversation(): Conversation {
    return this.#conversation;
  }

  get name(): string | undefined {
    return this.#name;
  }

  /** Are keys and values saved on disk? */
  isOnDisk = false;

  /** @throws UsageError for settings that cannot go together */
  change(args: ChatArgs): void {
    generateArgs(args, ANSWER_TOKENS.plain);
    this.#seed = args.seed !== this.args.seed && args.seed !== undefined ? args.seed : this.#seed;
    this.args = args;
  }

  get contextSize(): number {
    return contextSize(this.args.ctxSize, this.#equipment.model.config);
  }

  /** @returns false: nothing was said, since the signal had aborted @throws KvgenError for what cannot be said */
  async say(text: string, signal: AbortSignal): Promise<boolean> {
    const apart = this.#conversation.hasTemplate ? text : spaced(this.#conversation.text, text);
    return this.#answer((options) => this.#conversation.say(apart, options), signal);
  }

  /** @throws KvgenError where nothing was said yet */
  async retry(signal: AbortSignal): Promise<boolean> {
    return this.#answer((options) => this.#conversation.retry(options), signal);
  }

  /** Saves the session where it has a name. @throws KvgenError */
  async save(name = this.#name): Promise<void> {
    if (name === undefined) {
      return;
    }
    const chats = await this.#equipment.chats();
    if (chats === undefined) {
      throw new KvgenError(`session ${name} cannot be saved: there is no folder for it`);
    }
    const { state } = this.#conversation;
    const session = { format: FORMAT, settings: settingsToJson(this.args), seed: this.#seed };
    chats.write(name, `${jsonText({ ...session, ...stateToJson(state) })}\n`);
    this.#name = name;
  }

  /** Goes on with a saved session. @throws KvgenError where there is none */
  async load(name: string): Promise<void> {
    const session = await loadSession(await this.#equipment.chats(), name);
    if (session === undefined) {
      throw new KvgenError(`session ${name}: there is none; /save makes one`);
    }
    this.args = withSaved({ ...this.args }, session.settings);
    this.#conversation.forgetCache();
    this.#conversation = this.#begin(session);
    this.#seed = session.seed ?? this.#seed;
    this.#name = name;
    this.last = null;
  }

  dispose(): void {
    this.#conversation.dispose();
  }

  #begin(from: SavedSession | undefined): Conversation {
    const { model, draft, template } = this.#equipment;
    return new Conversation(model, template, {
      system: this.args.system,
      words: {
        bos: '--no-bos',
        logitBias: '--logit-bias',
        advice: '/undo takes back a turn, --on-full reprefill drops the oldest',
      },
      drafter: drafterOf(draft?.engine ?? null, model.engine),
      from: from === undefined ? undefined : withIdsOf(model.tokenizer, from.state),
    });
  }

  #settings() {
    const { template, plain } = ANSWER_TOKENS;
    return generateArgs(this.args, this.#conversation.hasTemplate ? template : plain);
  }

  async #answer(begin: (options: SayOptions) => AsyncGenerator<string, Turn>, signal: AbortSignal): Promise<boolean> {
    const { terminal } = this.#equipment;
    const settings = this.#settings();
    const disk = await this.#disk();
    const options: SayOptions = {
      settings,
      seedOf: (answer) => (this.#seed + answer) % 2 ** 53,
      signal: AbortSignal.any([signal, terminal.closed]),
      onPrefill: (done, total) => terminal.progress(`prefill ${done}/${total}`),
      onNote: (line) => terminal.note(line),
      disk: (prompt) => disk.begin(prompt.text),
    };
    const turn = await this.#write(new RememberedReturn(begin(options)));
    const isSaid = turn.finishReason !== 'abort' || turn.tokens.length > 0;
    try {
      if (isSaid) {
        await terminal.write('\n');
        await this.save(); // before keys and values, which take longer and can be computed again
      }
    } finally {
      this.#report(turn, settings, disk.finish());
    }
    return isSaid;
  }

  /** Writes an answer as it comes. */
  async #write(turn: RememberedReturn<string, Turn>): Promise<Turn> {
    const { terminal } = this.#equipment;
    try {
      for await (const piece of turn) {
        terminal.progressDone();
        await terminal.write(printableText(piece));
      }
      return turn.returned as Turn;
    } finally {
      terminal.progressDone();
    }
  }

  /** Where keys and values of one turn go. */
  async #disk() {
    const { model, saved: open } = this.#equipment;
    const saved = await open(this.#name);
    this.isOnDisk = saved !== null;
    let text: SavedText | undefined;
    return {
      begin(words: string): SavedText | undefined {
        const prompts = saved?.prompts(model, words) ?? null;
        text = prompts === null ? undefined : new SavedText(prompts, true);
        return text;
      },
      /** @returns how many tokens were written */
      finish: () => text?.finish(true) ?? 0,
    };
  }

  #report(turn: Turn, args: Parameters<typeof statisticsLine>[0][number]['args'], writtenTokens: number): void {
    const { terminal } = this.#equipment;
    this.last = turn;
    const prompt = { ids: turn.promptIds };
    terminal.statistics(
      statisticsLine([
        { args, prompt, completion: turn, seed: turn.seed, answerCached: false, promptCache: { writtenTokens } },
      ]),
    );
    if (turn.finishReason === 'context') {
      terminal.note(`the context of ${this.contextSize} tokens is full; /undo takes back a turn`);
    }
  }
}

/** Words that go on with a text, a space before them where both would run together. */
function spaced(before: string, text: string): string {
  return /\S$/.test(before) && /^[\p{L}\p{N}\p{Ps}\p{Pi}"]/u.test(text) ? ` ${text}` : text;
}

/** @throws UsageError for what could be a path, or a name that some system does not take */
export function checkName(name: string): string {
  if (!NAME.test(name)) {
    throw new UsageError(`session ${shown(name)}: expected at most 64 of A-Z a-z 0-9 _ . - and no . or - first`);
  }
  return name;
}

/** @returns undefined: there is none of that name @throws KvgenError for what is no session */
export async function loadSession(chats: Chats | undefined, name: string): Promise<SavedSession | undefined> {
  const text = chats?.read(name);
  if (chats === undefined || text === undefined) {
    return undefined;
  }
  try {
    const json = JSON.parse(text);
    const { format, settings, seed } = Object(json);
    if (format !== FORMAT) {
      throw new KvgenError(`format: expected ${FORMAT}, found ${shown(format)}`);
    }
    const isSeed = Number.isSafeInteger(seed) && seed >= 0;
    return { settings, seed: isSeed ? seed : undefined, state: stateFromJson(json) };
  } catch (error) {
    const advice = 'remove it, or take another name';
    throw new KvgenError(`${chats.pathOf(name)}: no session of kvgen chat (${errorMessage(error)}); ${advice}`);
  }
}
