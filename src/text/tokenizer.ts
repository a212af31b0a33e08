// Turns text into ids, and ids into raw bytes, as the files of a model say. Short texts are encoded at once; what may
// take long goes to a thread. Knows nothing of models: whether an id fits the weights is checked elsewhere.

import type { ModelFolder } from '../files/model-folder.js';
import { type BuiltTokenizer, buildTokenizer, type TokenizerFacts } from './build-tokenizer.js';
import type { Decoding } from './decoder.js';
import type { Encoded } from './encoder.js';
import type { Surroundings } from './post-processor.js';
import { readTokenizerFiles, sizeOf, type TokenizerFiles } from './tokenizer-files.js';
import type { TokenizerThread } from './tokenizer-thread.js';
import { Vocabulary } from './vocabulary.js';

export { hasTokenizer } from './tokenizer-files.js';

export interface Tokenizer {
  /** The highest id, plus 1. */
  readonly size: number;
  /** The special tokens that have a name, such as `bos_token`, as they are written in a text. */
  readonly named: TokenizerFacts['named'];
  /** The id of `bos_token`, which begins a text; undefined: none is named. */
  readonly bosId: number | undefined;
  /** The id of `eos_token`, which ends a text; undefined: none is named. */
  readonly namedEosId: number | undefined;
  /** That, or else the id of `<|endoftext|>`; undefined: there is no such token. */
  readonly eosId: number | undefined;
  /** The ids that it puts before a text and behind it. */
  readonly around: Surroundings;
  /**
   * Special tokens in the text are recognised; none are added.
   * @throws KvgenError where the text has no ids, or they take too long; what `signal` aborts with
   */
  encode(text: string, options?: EncodeOptions): Promise<number[]>;
  /**
   * The raw bytes of a token as it is within a text, with the space that it has there; they may be only a part of a
   * character. None for an id without a token.
   */
  bytes(id: number): Uint8Array;
  /** As the vocabulary writes it; undefined: there is no token of this id. */
  token(id: number): string | undefined;
  /** How tokens become a text, for the detokenizer; undefined: they are bytes, one behind the other. */
  readonly decoding: Decoding | undefined;
  /** Is it a special token, which is no part of a text that people read? */
  isSpecial(id: number): boolean;
  /** Is there a token of this id? Some ids only pad the vocabulary. */
  has(id: number): boolean;
  /** Ends its thread, where it has one. */
  dispose(): void;
}

export interface EncodeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called where a part of the text has no token and became the one for unknown text. */
  readonly onNote?: ((line: string) => void) | undefined;
}

/** UTF-16 units of the files that are read at once: some hundredths of a second. */
const QUICK_FILES = 2 ** 20;
/** UTF-16 units of a text that is encoded at once: some hundredths of a second, whatever the text. */
const QUICK_TEXT = 10_000;

/** Reads the folder's tokenizer. @throws KvgenError if there is none, or if it is damaged; what its signal aborts with */
export async function loadTokenizer(folder: ModelFolder): Promise<Tokenizer> {
  return openTokenizer(await readTokenizerFiles(folder), folder.signal);
}

/** @throws KvgenError for files that are damaged; what `signal` aborts with */
export async function openTokenizer(files: TokenizerFiles, signal?: AbortSignal): Promise<Tokenizer> {
  const here = sizeOf(files) <= QUICK_FILES ? await buildTokenizer(files) : undefined;
  const thread = here === undefined ? await startThread(files) : undefined;
  const facts = here?.facts ?? (await (thread as TokenizerThread).facts(signal));
  return new OpenTokenizer(files, facts, here, thread);
}

/** Its code is loaded only where it is needed. */
async function startThread(files: TokenizerFiles): Promise<TokenizerThread> {
  const { TokenizerThread } = await import('./tokenizer-thread.js');
  return new TokenizerThread(files);
}

class OpenTokenizer implements Tokenizer {
  readonly size: number;
  readonly named: TokenizerFacts['named'];
  readonly bosId: number | undefined;
  readonly namedEosId: number | undefined;
  readonly eosId: number | undefined;
  readonly around: Surroundings;
  readonly decoding: Decoding | undefined;
  readonly #special: ReadonlySet<number>;
  readonly #files: TokenizerFiles;
  readonly #vocabulary: Vocabulary;
  /** Has it patterns that may take for ever on a short text? */
  readonly #isRisky: boolean;
  /** undefined: it is in the thread alone. */
  readonly #here: BuiltTokenizer | undefined;
  #thread: Promise<TokenizerThread> | undefined;

  constructor(
    files: TokenizerFiles,
    { tokens, decoding, special, named, bosId, namedEosId, eosId, around, risky }: TokenizerFacts,
    here: BuiltTokenizer | undefined,
    thread: TokenizerThread | undefined,
  ) {
    this.#files = files;
    this.#vocabulary = new Vocabulary(tokens, decoding);
    this.decoding = decoding;
    this.size = this.#vocabulary.size;
    this.named = named;
    this.bosId = bosId;
    this.namedEosId = namedEosId;
    this.eosId = eosId;
    this.around = around;
    this.#special = new Set(special);
    this.#isRisky = risky.length > 0;
    this.#here = here;
    this.#thread = thread === undefined ? undefined : Promise.resolve(thread);
  }

  async encode(text: string, { signal, onNote }: EncodeOptions = {}): Promise<number[]> {
    const isQuick = text.length <= QUICK_TEXT && !this.#isRisky;
    const { ids, unknown } = (isQuick && this.#here?.encode(text)) || (await this.#encodeInThread(text, signal));
    if (unknown !== undefined) {
      onNote?.(`the tokenizer has no token for ${unknown} of the text, which became its token for unknown text`);
    }
    return ids;
  }

  bytes(id: number): Uint8Array {
    return this.#vocabulary.bytes(id);
  }

  token(id: number): string | undefined {
    return this.#vocabulary.token(id);
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  has(id: number): boolean {
    return this.#vocabulary.has(id);
  }

  dispose(): void {
    void this.#thread?.then((thread) => thread.stop());
  }

  async #encodeInThread(text: string, signal: AbortSignal | undefined): Promise<Encoded> {
    this.#thread ??= startThread(this.#files);
    return (await this.#thread).encode(text, signal);
  }
}
