// What is typed, on its way to the line editor. A paste of several lines becomes one short word in the line, which stands for
// it; a line that was typed ahead waits for its prompt; while a model speaks only Ctrl-C is heard. Knows nothing of
// what lines mean.

import { Transform, type TransformCallback } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

const PASTE_START = Buffer.from('\u001b[200~');
const PASTE_END = Buffer.from('\u001b[201~');
const CTRL_C = 0x03;
const NEWLINES = [0x0a, 0x0d];
/** A character, or what a terminal sends for a key that is none. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: ESC begins it
const KEYS = /\u001b+(?:\[[\d;]*[^\d;]|O.|.)?|\r\n|[\s\S]/gu;
/** A terminal without bracketed paste gives so many lines at once only when somebody pastes. */
const MANY_LINES = 6;
/** Milliseconds in which the rest of such a paste comes. */
const QUIET_MS = 40;

/** The terminal itself, as far as the line editor asks for it. */
interface RawTerminal {
  readonly isRaw?: boolean;
  setRawMode?(mode: boolean): unknown;
}

type State = 'typing' | 'held' | 'speaking';

export class TypedInput extends Transform {
  readonly isTTY = true;
  readonly #terminal: RawTerminal;
  readonly #onInterrupt: () => void;
  readonly #pasted = new Map<string, string>();
  #pending = Buffer.alloc(0);
  #state: State = 'held';
  #gathering: NodeJS.Timeout | undefined;
  readonly #decoder = new StringDecoder('utf8');

  /** @param onInterrupt called for Ctrl-C while a model speaks */
  constructor(terminal: RawTerminal, onInterrupt: () => void) {
    super();
    this.#terminal = terminal;
    this.#onInterrupt = onInterrupt;
  }

  get isRaw(): boolean {
    return this.#terminal.isRaw ?? false;
  }

  setRawMode(mode: boolean): this {
    this.#terminal.setRawMode?.(mode);
    return this;
  }

  /** The next line may come. */
  prompt(): void {
    this.#state = 'typing';
    this.#drain();
  }

  /** From now on only Ctrl-C is heard; what else is typed waits. */
  speak(): void {
    this.#state = 'speaking';
    this.#drain();
  }

  /** A line with what was pasted into it. */
  expand(line: string): string {
    return line.replace(/\[pasted \d+ lines #\d+\]/g, (word) => this.#pasted.get(word) ?? word);
  }

  /** A word that stands for a text which no line can hold. */
  wordFor(text: string): string {
    const lines = text.split('\n').length;
    const word = `[pasted ${lines} lines #${this.#pasted.size + 1}]`;
    this.#pasted.set(word, text);
    return word;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    this.#drain();
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#state = 'typing';
    this.#drain();
    done();
  }

  #drain(): void {
    if (this.#state === 'speaking' && this.#pending.includes(CTRL_C)) {
      this.#pending = Buffer.alloc(0); // what was typed before it was meant for another moment
      this.#onInterrupt();
    }
    while (this.#state === 'typing' && this.#pending.length > 0 && this.#gathering === undefined && this.#step()) {}
  }

  /** Hands on what comes before the next paste or the next end of a line. @returns false: more must come first */
  #step(): boolean {
    if (this.#pending.subarray(0, PASTE_START.length).equals(PASTE_START)) {
      return this.#takePaste();
    }
    const start = this.#pending.indexOf(PASTE_START);
    const end = this.#pending.findIndex((byte) => NEWLINES.includes(byte));
    if (end >= 0 && (start < 0 || end < start)) {
      return this.#takeLine(end);
    }
    const length = start < 0 ? this.#pending.length - this.#unfinishedMark() : start;
    this.#type(this.#take(length));
    return length > 0;
  }

  #takeLine(end: number): boolean {
    if (this.#pending.filter((byte) => NEWLINES.includes(byte)).length >= MANY_LINES) {
      this.#gathering = setTimeout(() => this.#gather(), QUIET_MS);
      return false;
    }
    const isPair = this.#pending[end] === 0x0d && this.#pending[end + 1] === 0x0a;
    this.#state = 'held';
    this.#type(this.#take(end + (isPair ? 2 : 1)));
    return false;
  }

  /** A paste that the terminal does not mark. */
  #gather(): void {
    this.#gathering = undefined;
    this.#insert(this.#take(this.#pending.length));
    this.#drain();
  }

  /** Key by key: what comes at once node:readline puts at the end of the line, wherever the cursor is. */
  #type(bytes: Buffer): void {
    for (const key of this.#decoder.write(bytes).match(KEYS) ?? []) {
      this.push(key);
    }
  }

  #takePaste(): boolean {
    const end = this.#pending.indexOf(PASTE_END);
    if (end < 0) {
      return false;
    }
    const content = this.#pending.subarray(PASTE_START.length, end);
    this.#take(end + PASTE_END.length);
    this.#insert(content);
    return true;
  }

  #insert(bytes: Buffer): void {
    const text = bytes.toString().replace(/\r\n?/g, '\n');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the line editor would take them for keys
    this.push(/[\u0000-\u001f\u007f]/.test(text) ? this.wordFor(text) : text);
  }

  /** Bytes at the end that may be the beginning of a mark; ESC alone is a key. */
  #unfinishedMark(): number {
    for (let length = PASTE_START.length - 1; length > 1; length--) {
      if (this.#pending.subarray(-length).equals(PASTE_START.subarray(0, length))) {
        return length;
      }
    }
    return 0;
  }

  #take(length: number): Buffer {
    const taken = this.#pending.subarray(0, length);
    this.#pending = this.#pending.subarray(length);
    return taken;
  }
}
