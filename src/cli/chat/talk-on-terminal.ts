// A chat with a person at a terminal: messages and commands as they are typed, until the end. Knows nothing of how an answer
// is made.

import { KvgenError } from '../../errors.js';
import type { Chats } from '../../store/chats.js';
import type { Invocation } from '../shell/command.js';
import { LineEditor } from './line-editor.js';
import { SeveralLines } from './several-lines.js';
import { completions, isCommand, type Next, runCommand } from './slash-commands.js';
import type { Talk } from './talk.js';

const PROMPT = '>>> ';
const MORE = '... ';

/** Where lines that were typed are kept. */
interface History {
  make(): Promise<Chats | undefined>;
}

export async function talkOnTerminal({ terminal, signal }: Invocation, talk: Talk, chats: History): Promise<void> {
  const history = talk.args.history ? await historyOf(chats, (line) => terminal.note(line)) : undefined;
  const editor = new LineEditor(terminal.editing, {
    history: history?.history() ?? [],
    complete: completions,
    marksPastes: process.env.TERM !== 'dumb',
    remember: (line) => history?.remember(line),
  });
  const person = new Person(editor, talk, terminal, AbortSignal.any([signal, terminal.closed]));
  try {
    terminal.note(greeting(talk));
    await person.talk();
  } finally {
    editor.close();
  }
}

/** A chat works without one. */
async function historyOf(chats: History, onNote: (line: string) => void): Promise<Chats | undefined> {
  try {
    return await chats.make();
  } catch (error) {
    if (error instanceof KvgenError) {
      onNote(error.message);
      return undefined;
    }
    throw error;
  }
}

function greeting({ conversation, name }: Talk): string {
  const { turns, hasTemplate } = conversation;
  const what = hasTemplate ? 'the model answers' : 'the model has no chat template and continues the text';
  const session = name === undefined ? '' : `session ${name}, turn ${turns.length + 1}; `;
  return `${session}${what}; /help lists the commands, Ctrl-D leaves`;
}

class Person {
  readonly #editor: LineEditor;
  readonly #talk: Talk;
  readonly #terminal: Invocation['terminal'];
  readonly #signal: AbortSignal;
  readonly #lines = new SeveralLines();
  /** What the next line begins with. */
  #text = '';
  /** What comes before the next message. */
  #attached = '';

  constructor(editor: LineEditor, talk: Talk, terminal: Invocation['terminal'], signal: AbortSignal) {
    this.#editor = editor;
    this.#talk = talk;
    this.#terminal = terminal;
    this.#signal = signal;
  }

  async talk(): Promise<void> {
    for (let goesOn = true; goesOn && !this.#signal.aborted; ) {
      const typed = await this.#editor.line(this.#lines.isOpen ? MORE : PROMPT, this.#text, this.#signal);
      this.#text = '';
      if ('end' in typed) {
        this.#terminal.log('');
        return;
      }
      if ('interrupt' in typed) {
        this.#interrupted(typed.interrupt);
      } else {
        goesOn = await this.#take(typed.line).catch((error: unknown) => this.#fail(error));
      }
    }
  }

  #interrupted(where: 'empty' | 'line'): void {
    if (where === 'empty' && !this.#lines.isOpen) {
      this.#terminal.log('Ctrl-D or /exit leaves.');
    }
    this.#lines.clear();
  }

  /** @returns true: the chat goes on */
  #fail(error: unknown): boolean {
    if (!(error instanceof KvgenError) && !this.#signal.aborted) {
      throw error;
    }
    if (!this.#signal.aborted) {
      this.#terminal.error((error as KvgenError).message);
    }
    return true;
  }

  /** @returns false: the chat is over */
  async #take(line: string): Promise<boolean> {
    const isPaste = line.includes('\n');
    if (!this.#lines.isOpen && !isPaste && isCommand(line)) {
      return this.#follow(await this.#command(line));
    }
    const message = isPaste && !this.#lines.isOpen ? line : this.#lines.add(line);
    if (message !== undefined) {
      await this.#say(message);
    }
    return true;
  }

  #command(line: string): Promise<Next> {
    const work = (signal: AbortSignal) => runCommand(line, { talk: this.#talk, terminal: this.#terminal, signal });
    return this.#stoppable(work);
  }

  async #follow(next: Next): Promise<boolean> {
    if (next.kind === 'retry') {
      await this.#stoppable((signal) => this.#talk.retry(signal));
    } else if (next.kind === 'edit') {
      this.#text = next.text;
    } else if (next.kind === 'attach') {
      this.#attached += `${next.text}\n`;
    }
    return next.kind !== 'exit';
  }

  async #say(message: string): Promise<void> {
    const text = this.#attached + message.replace(/^\/\//, '/');
    const isNothing = text.trim() === '' && this.#talk.conversation.hasTemplate;
    if (isNothing) {
      return;
    }
    this.#attached = '';
    await this.#stoppable((signal) => this.#talk.say(text, signal));
  }

  /** Runs something that Ctrl-C stops. */
  #stoppable<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const stop = new AbortController();
    const signal = AbortSignal.any([this.#signal, stop.signal]);
    return this.#editor.speaking(
      () => stop.abort(new KvgenError('stopped')),
      () => work(signal),
    );
  }
}
