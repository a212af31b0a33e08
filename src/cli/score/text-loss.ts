// The mean loss of a model on a text, as a whole or document by document. Knows nothing of what is printed.

import { checkVocabulary } from '../../completion/request.js';
import { KvgenError } from '../../errors.js';
import { slidingWindows, type Window, windowLoss } from '../../generation/score.js';
import type { Model } from '../../library/model.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Invocation } from '../shell/command.js';

const SEPARATOR = /^<\|endoftext\|>[ \t]*\r?$/m;

export interface LossRun extends Pick<Invocation, 'terminal' | 'signal'> {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Of the text, for messages. */
  readonly file: string;
  /** Ids of one window. */
  readonly nCtx: number;
  /** Ids by which the window moves on. */
  readonly stride: number;
  readonly perDocument: boolean;
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
  const { model, terminal, signal } = run;
  const texts = run.perDocument ? documents(run, text) : [run.tokenizer.encode(text)];
  for (const ids of texts) {
    checkVocabulary(ids, model.config);
  }
  const windows = texts.flatMap((ids): Window[] => [...slidingWindows(ids, run.nCtx, run.stride)]);
  const tokens = windows.reduce((sum, { scored }) => sum + scored, 0);
  if (tokens === 0) {
    throw new KvgenError(`${run.file}: expected a text of two tokens or more, found fewer`);
  }
  let nats = 0;
  let done = 0;
  for (const window of windows) {
    terminal.progress(`perplexity ${done}/${tokens} tokens`);
    nats += await windowLoss(model.engine, window, signal);
    done += window.scored;
  }
  terminal.progressDone();
  const bytes = windows.reduce((sum, window) => sum + scoredBytes(run, window), 0);
  return { tokens, loss: nats / tokens, bitsPerByte: bytes === 0 ? null : nats / Math.LN2 / bytes };
}

export function hasDocuments(text: string): boolean {
  return SEPARATOR.test(text);
}

/** Half the context, for a text that is longer. */
export function usualStride(nCtx: number): number {
  return Math.ceil(nCtx / 2);
}

/** The ids of each document, between two end-of-text tokens and without the white space around it. */
function documents({ tokenizer, model }: LossRun, text: string): number[][] {
  const { eosId } = tokenizer;
  if (eosId === undefined) {
    throw new KvgenError(`${model.dir}: --per-document needs an end-of-text token and the tokenizer has none`);
  }
  const texts = text.split(SEPARATOR).map((document) => document.trim());
  return texts.filter((document) => document !== '').map((document) => [eosId, ...tokenizer.encode(document), eosId]);
}

/** UTF-8 bytes of the ids that are scored in a window; the end of a document has none. */
function scoredBytes({ perDocument, tokenizer }: LossRun, { ids, scored }: Window): number {
  const isEnd = (id: number) => perDocument && id === tokenizer.eosId;
  return ids.slice(-scored).reduce((sum, id) => sum + (isEnd(id) ? 0 : tokenizer.bytes(id).length), 0);
}
