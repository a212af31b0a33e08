// Tokens become text as they arrive: each goes through the steps of a decoder, and comes out as soon as nothing that follows
// can change it. All of it together is what the steps make of all tokens at once. Knows nothing of ids.

import { byteOf } from './byte-tokens.js';
import type { Decoding, TextStep, TokenStep } from './decoder.js';

/** Takes parts of a text; what it gives on goes to the next one. */
interface Stage {
  /** Is something held back that may still change? */
  readonly holding: boolean;
  push(part: string): void;
  /** Nothing comes any more. */
  end(): void;
}

type Next = Pick<Stage, 'push' | 'end'>;

export class DecodingChain {
  readonly #first: Next;
  readonly #stages: Stage[] = [];
  #out: string[] = [];

  constructor({ tokens, text }: Decoding) {
    const makers = [...tokens.map((step) => tokenStage(step)), ...text.map((step) => textStage(step))];
    let next: Next = { push: (part) => this.#out.push(part), end: () => {} };
    for (const make of makers.reverse()) {
      const stage = make(next);
      this.#stages.push(stage);
      next = stage;
    }
    this.#first = next;
  }

  get holding(): boolean {
    return this.#stages.some(({ holding }) => holding);
  }

  /** The text that this token completes. */
  push(token: string): string {
    this.#first.push(token);
    return this.#taken();
  }

  /** The rest. */
  end(): string {
    this.#first.end();
    return this.#taken();
  }

  #taken(): string {
    const text = this.#out.join('');
    this.#out = [];
    return text;
  }
}

/** A token as it is within a text, neither its first nor its last: its bytes, which may be a part of a character. */
export function bytesWithin({ tokens }: Decoding, token: string): Uint8Array {
  let text = token;
  for (const step of tokens) {
    if (step.kind === 'bytes') {
      const byte = byteOf(text);
      if (byte !== undefined) {
        return Uint8Array.of(byte);
      }
    } else {
      text = changed(step, text, false, false);
    }
  }
  return new TextEncoder().encode(text);
}

type Maker = (next: Next) => Stage;

function tokenStage(step: TokenStep): Maker {
  switch (step.kind) {
    case 'bytes':
      return (next) => new ByteRuns(next);
    case 'wordEnds':
      return (next) => new WordEnds(next, step);
    default:
      return (next) => new EachToken(next, step);
  }
}

function textStage(step: TextStep): Maker {
  return step.kind === 'strip' ? (next) => new StripText(next, step) : (next) => new ReplaceText(next, step);
}

type PlainStep = Exclude<TokenStep, { readonly kind: 'bytes' }>;

function changed(step: PlainStep, token: string, isFirst: boolean, isLast: boolean): string {
  switch (step.kind) {
    case 'metaspace':
      return token.replaceAll(step.replacement, isFirst && step.hidesFirst ? '' : ' ');
    case 'replace':
      return token.replace(step.pattern, () => step.content);
    case 'spaces':
      return isFirst ? token : ` ${token}`;
    case 'strip':
      return stripped(token, step);
    case 'wordEnds':
      return token.replaceAll(step.suffix, isLast ? '' : ' ');
    case 'wordPiece': {
      const isPart = token.startsWith(step.prefix);
      const text = isFirst ? token : isPart ? token.slice(step.prefix.length) : ` ${token}`;
      return step.cleansUp ? cleanUpToken(text) : text;
    }
  }
}

/** As `cleanup` of tokenizers, which also knows `do not`. */
function cleanUpToken(token: string): string {
  return token
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(' do not', " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}

function stripped(token: string, { content, start, stop }: Extract<TokenStep, { kind: 'strip' }>): string {
  const characters = Array.from(token);
  let from = 0;
  while (from < start && characters[from] === content) {
    from++;
  }
  let to = characters.length;
  while (characters.length - to < stop && to > from && characters[to - 1] === content) {
    to--;
  }
  return characters.slice(from, to).join('');
}

class EachToken implements Stage {
  readonly holding = false;
  readonly #next: Next;
  readonly #step: PlainStep;
  #isFirst = true;

  constructor(next: Next, step: PlainStep) {
    this.#next = next;
    this.#step = step;
  }

  push(token: string): void {
    const text = changed(this.#step, token, this.#isFirst, false);
    this.#isFirst = false;
    this.#next.push(text);
  }

  end(): void {
    this.#next.end();
  }
}

/** Only the last token of a text has no space behind its word. */
class WordEnds implements Stage {
  readonly #next: Next;
  readonly #step: Extract<TokenStep, { kind: 'wordEnds' }>;
  #held: string | undefined;

  constructor(next: Next, step: Extract<TokenStep, { kind: 'wordEnds' }>) {
    this.#next = next;
    this.#step = step;
  }

  get holding(): boolean {
    return this.#held?.includes(this.#step.suffix) ?? false;
  }

  push(token: string): void {
    this.#release(false);
    this.#held = token;
    if (!this.holding) {
      this.#release(false);
    }
  }

  end(): void {
    this.#release(true);
    this.#next.end();
  }

  #release(isLast: boolean): void {
    if (this.#held !== undefined) {
      this.#next.push(changed(this.#step, this.#held, false, isLast));
      this.#held = undefined;
    }
  }
}

/** Bytes of a row are whole characters all together, or each of them is U+FFFD: so the row must be over first. */
class ByteRuns implements Stage {
  readonly #next: Next;
  readonly #bytes: number[] = [];

  constructor(next: Next) {
    this.#next = next;
  }

  get holding(): boolean {
    return this.#bytes.length > 0;
  }

  push(token: string): void {
    const byte = byteOf(token);
    if (byte === undefined) {
      this.#release();
      this.#next.push(token);
    } else {
      this.#bytes.push(byte);
    }
  }

  end(): void {
    this.#release();
    this.#next.end();
  }

  #release(): void {
    const bytes = this.#bytes.splice(0);
    if (bytes.length > 0) {
      for (const text of textsOf(Uint8Array.from(bytes))) {
        this.#next.push(text);
      }
    }
  }
}

function textsOf(bytes: Uint8Array): readonly string[] {
  try {
    return [new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)];
  } catch {
    return Array.from(bytes, () => '\ufffd');
  }
}

class ReplaceText implements Stage {
  readonly #next: Next;
  readonly #step: Extract<TextStep, { kind: 'replaceText' }>;
  /** The longest end of the text so far that may become the pattern. */
  #held = '';

  constructor(next: Next, step: Extract<TextStep, { kind: 'replaceText' }>) {
    this.#next = next;
    this.#step = step;
  }

  get holding(): boolean {
    return this.#held !== '';
  }

  push(part: string): void {
    const { pattern, content } = this.#step;
    const pieces = (this.#held + part).split(pattern);
    const rest = pieces.pop() as string;
    const released = rest.length - overlap(rest, pattern);
    this.#held = rest.slice(released);
    this.#next.push([...pieces, rest.slice(0, released)].join(content));
  }

  end(): void {
    this.#next.push(this.#held);
    this.#held = '';
    this.#next.end();
  }
}

/** How much of the end of a text begins the pattern; less than all of the pattern. */
function overlap(text: string, pattern: string): number {
  for (let length = Math.min(text.length, pattern.length - 1); length > 0; length--) {
    if (text.endsWith(pattern.slice(0, length))) {
      return length;
    }
  }
  return 0;
}

class StripText implements Stage {
  readonly #next: Next;
  readonly #content: string;
  readonly #stop: number;
  /** How many characters may still be left out at the beginning. */
  #left: number;
  /** Characters that are left out if nothing follows. */
  #held = '';

  constructor(next: Next, { content, start, stop }: Extract<TextStep, { kind: 'strip' }>) {
    this.#next = next;
    this.#content = content;
    this.#stop = stop;
    this.#left = start;
  }

  get holding(): boolean {
    return this.#held !== '';
  }

  push(part: string): void {
    let text = part;
    while (this.#left > 0 && text !== '') {
      const isLeftOut = text.startsWith(this.#content);
      text = isLeftOut ? text.slice(this.#content.length) : text;
      this.#left = isLeftOut ? this.#left - 1 : 0;
    }
    const all = this.#held + text;
    let from = all.length;
    for (let i = 0; i < this.#stop && all.slice(0, from).endsWith(this.#content); i++) {
      from -= this.#content.length;
    }
    this.#held = all.slice(from);
    this.#next.push(all.slice(0, from));
  }

  end(): void {
    this.#held = '';
    this.#next.end();
  }
}
