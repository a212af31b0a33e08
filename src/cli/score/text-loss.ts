// The mean loss on a text, as a whole or document by document, of a model here or of a server. Knows nothing of what is printed.

import { checkVocabulary } from '../../completion/request.js';
import { KvgenError } from '../../errors.js';
import { EventLoop } from '../../generation/event-loop.js';
import { scoredIds, slidingWindows, type Window, windowLoss } from '../../generation/score.js';
import type { Model } from '../../library/model.js';
import { decodeAll } from '../../text/detokenizer.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Invocation } from '../shell/command.js';
import { groupsOf } from './groups.js';

const SEPARATOR = /^<\|endoftext\|>[ \t]*\r?$/m;

/** What losses are of. */
export interface TextScorer {
  /** Where its tokenizer came from, for messages. */
  readonly dir: string;
  /** Windows that are scored at the same time. */
  readonly atOnce: number;
  /** @throws KvgenError for an id that it does not have */
  check(ids: readonly number[]): void;
  /** The sum of the losses of a window's scored ids, in nats. */
  loss(window: Window, signal: AbortSignal): Promise<number>;
}

export function modelScorer(model: Model): TextScorer {
  return {
    dir: model.dir,
    atOnce: 1,
    check: (ids) => checkVocabulary(ids, model.config),
    loss: (window, signal) => windowLoss(model.engine, window, signal),
  };
}

export interface LossRun extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly scorer: TextScorer;
  readonly tokenizer: Tokenizer;
  /** Of the text, for messages. */
  readonly file: string;
  /** Ids of one window. */
  readonly nCtx: number;
  /** Ids by which the window moves on. */
  readonly stride: number;
  readonly perDocument: boolean;
  /** Does what the tokenizer puts before a text come before this one? Documents come after an end-of-text token. */
  readonly bos: boolean;
}

export interface TextLoss {
  /** How many were scored. */
  readonly tokens: number;
  /** Nats per token. */
  readonly loss: number;
  /** null: no byte was scored. */
  readonly bitsPerByte: number | null;
}

/** @throws KvgenError for a text that cannot be scored */
export async function textLoss(run: LossRun, text: string): Promise<TextLoss> {
  const { scorer, nCtx, stride, terminal, signal } = run;
  const texts: number[][] = [];
  for await (const ids of run.perDocument ? documents(run, text) : [wholeText(run, text)]) {
    scorer.check(ids);
    texts.push(ids);
  }
  const tokens = texts.reduce((sum, ids) => sum + scoredIds(ids.length, nCtx, stride), 0);
  if (tokens === 0) {
    throw new KvgenError(`${run.file}: expected a text of two tokens or more, found fewer`);
  }
  let nats = 0;
  let done = 0;
  let bytes = 0;
  for (const windows of groupsOf(windowsOf(run, texts), scorer.atOnce)) {
    terminal.progress(`perplexity ${done}/${tokens} tokens`);
    const losses = await Promise.all(windows.map((window) => scorer.loss(window, signal)));
    for (const [i, window] of windows.entries()) {
      nats += losses[i] as number;
      done += window.scored;
      bytes += scoredBytes(run, window);
    }
  }
  terminal.progressDone();
  if (run.tokenizer.decoding !== undefined) {
    bytes = textBytes(run, text, texts[0] ?? []); // there, tokens have spaces that the text has not
  }
  return { tokens, loss: nats / tokens, bitsPerByte: bytes === 0 ? null : nats / Math.LN2 / bytes };
}

function* windowsOf({ nCtx, stride }: LossRun, texts: readonly number[][]): Generator<Window, void> {
  for (const ids of texts) {
    yield* slidingWindows(ids, nCtx, stride);
  }
}

async function wholeText(run: LossRun, text: string): Promise<number[]> {
  const before = run.bos ? run.tokenizer.around.before : [];
  return [...before, ...(await encode(run, text))];
}

function encode({ tokenizer, terminal, signal }: LossRun, text: string): Promise<number[]> {
  return tokenizer.encode(text, { signal, onNote: (line) => terminal.note(line) });
}

export function hasDocuments(text: string): boolean {
  return SEPARATOR.test(text);
}

/** Half the context, for a text that is longer. */
export function usualStride(nCtx: number): number {
  return Math.ceil(nCtx / 2);
}

function documentsOf(text: string): string[] {
  return text
    .split(SEPARATOR)
    .map((part) => part.trim())
    .filter((document) => document !== '');
}

/** The ids of each document, between two end-of-text tokens and without the white space around it. */
async function* documents(run: LossRun, text: string): AsyncGenerator<number[], void> {
  const { tokenizer, scorer, signal } = run;
  const { eosId } = tokenizer;
  if (eosId === undefined) {
    throw new KvgenError(`${scorer.dir}: --per-document needs an end-of-text token and the tokenizer has none`);
  }
  const loop = new EventLoop();
  for (const document of documentsOf(text)) {
    yield [eosId].concat(await encode(run, document), eosId);
    if (loop.due) {
      await loop.run();
      signal.throwIfAborted();
    }
  }
}

/** UTF-8 bytes of what is scored: without the first id of a text that nothing comes before. */
function textBytes(run: LossRun, text: string, [first]: readonly number[]): number {
  if (run.perDocument) {
    return documentsOf(text).reduce((sum, document) => sum + Buffer.byteLength(document), 0);
  }
  const isScored = first === undefined || (run.bos && run.tokenizer.around.before.length > 0);
  return Buffer.byteLength(text) - (isScored ? 0 : Buffer.byteLength(decodeAll(run.tokenizer, [first])));
}

/** UTF-8 bytes of the ids that are scored in a window; the end of a document has none. */
function scoredBytes({ perDocument, tokenizer }: LossRun, { ids, scored }: Window): number {
  const isEnd = (id: number) => perDocument && id === tokenizer.eosId;
  return ids.slice(-scored).reduce((sum, id) => sum + (isEnd(id) ? 0 : tokenizer.bytes(id).length), 0);
}
