// `kvgen score --perplexity`: the mean loss of a model on a text, as a whole or document by document.

import { checkVocabulary } from '../../completion/request.js';
import { KvgenError } from '../../errors.js';
import { slidingWindows, type Window, windowLoss } from '../../generation/score.js';
import type { ScoreRun } from './score-run.js';

const SEPARATOR = /^<\|endoftext\|>[ \t]*\r?$/m;

export async function perplexity(run: ScoreRun, text: string): Promise<void> {
  const { args, nCtx, model, terminal, signal } = run;
  const stride = strideFor(args.stride, nCtx);
  if (nCtx < 2) {
    throw new KvgenError(`--ctx-size ${nCtx}: a loss needs two tokens or more in the context`);
  }
  const texts = args.perDocument ? documents(run, text) : [run.tokenizer.encode(text)];
  for (const ids of texts) {
    checkVocabulary(ids, model.config);
  }
  const windows = texts.flatMap((ids): Window[] => [...slidingWindows(ids, nCtx, stride)]);
  const tokens = windows.reduce((sum, { scored }) => sum + scored, 0);
  if (tokens === 0) {
    throw new KvgenError(`${args.perplexity}: expected a text of two tokens or more, found fewer`);
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
  await print(run, { tokens, loss: nats / tokens, bitsPerByte: bytes === 0 ? null : nats / Math.LN2 / bytes });
}

/** The ids of each document, between two end-of-text tokens and without the white space around it. */
function documents({ tokenizer, model }: ScoreRun, text: string): number[][] {
  const { eosId } = tokenizer;
  if (eosId === undefined) {
    throw new KvgenError(`${model.dir}: --per-document needs an end-of-text token and the tokenizer has none`);
  }
  const texts = text.split(SEPARATOR).map((document) => document.trim());
  return texts.filter((document) => document !== '').map((document) => [eosId, ...tokenizer.encode(document), eosId]);
}

/** UTF-8 bytes of the ids that are scored in a window; the end of a document has none. */
function scoredBytes({ args, tokenizer }: ScoreRun, { ids, scored }: Window): number {
  const isEnd = (id: number) => args.perDocument && id === tokenizer.eosId;
  return ids.slice(-scored).reduce((sum, id) => sum + (isEnd(id) ? 0 : tokenizer.bytes(id).length), 0);
}

function strideFor(stride: number | undefined, nCtx: number): number {
  if (stride !== undefined && stride > nCtx) {
    throw new KvgenError(`--stride ${stride}: the context has ${nCtx} tokens; give ${nCtx} or less`);
  }
  return stride ?? Math.ceil(nCtx / 2);
}

async function print(
  { args, terminal }: ScoreRun,
  { tokens, loss, bitsPerByte }: { tokens: number; loss: number; bitsPerByte: number | null },
): Promise<void> {
  if (args.json) {
    const fields = { tokens, loss, perplexity: Math.exp(loss), bits_per_byte: bitsPerByte };
    await terminal.print(JSON.stringify(fields));
    return;
  }
  const perByte = bitsPerByte === null ? '' : ` · ${bitsPerByte.toFixed(4)} bits per byte`;
  await terminal.print(
    `perplexity ${Math.exp(loss).toFixed(4)} · ${loss.toFixed(4)} nats per token${perByte} · ${tokens} tokens`,
  );
}
