// `kvgen score --perplexity`: the mean loss of a model on a text, whole or document by document.

import { KvgenError } from '../errors.js';
import { slidingWindows, type Window, windowLoss } from '../score.js';
import type { ScoreRun } from './score.js';

const SEPARATOR = /^<\|endoftext\|>[ \t]*\r?$/m;

/** A text to be scored by itself. */
interface Piece {
  readonly ids: readonly number[];
  /** UTF-8 bytes of the ids that are scored. */
  readonly bytes: number;
}

export async function perplexity(run: ScoreRun, text: string): Promise<void> {
  const { args, nCtx, model, terminal, signal } = run;
  const stride = strideFor(args.stride, nCtx);
  const pieces = args.perDocument ? documents(run, text) : [whole(run, text)];
  const windows = pieces.flatMap(({ ids }): Window[] => [...slidingWindows(ids, nCtx, stride)]);
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
  const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  await print(run, { tokens, loss: nats / tokens, bitsPerByte: bytes === 0 ? null : nats / Math.LN2 / bytes });
}

/** All of the file; the first id has nothing before it. */
function whole({ tokenizer }: ScoreRun, text: string): Piece {
  const ids = tokenizer.encode(text);
  const first = ids.length === 0 ? 0 : tokenizer.bytes(ids[0] as number).length;
  return { ids, bytes: Buffer.byteLength(text) - first };
}

/** Each after an end-of-text token, the closing one included, which has no bytes; without the white space around it. */
function documents({ tokenizer, dir }: ScoreRun, text: string): Piece[] {
  const { eosId } = tokenizer;
  if (eosId === undefined) {
    throw new KvgenError(`${dir}: --per-document needs an end-of-text token and the tokenizer has none`);
  }
  const texts = text.split(SEPARATOR).map((document) => document.trim());
  return texts
    .filter((document) => document !== '')
    .map((document) => ({
      ids: [eosId, ...tokenizer.encode(document), eosId],
      bytes: Buffer.byteLength(document),
    }));
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
