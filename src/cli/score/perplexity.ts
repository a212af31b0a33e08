// `kvgen score --perplexity`: the mean loss on a text, printed.

import { KvgenError } from '../../errors.js';
import type { ScoreRun } from './score-run.js';
import { type TextLoss, type TextScorer, textLoss, usualStride } from './text-loss.js';

/** @param file where the text came from */
export async function perplexity(run: ScoreRun, scorer: TextScorer, text: string, file: string): Promise<void> {
  const { args, nCtx } = run;
  const stride = strideFor(args.stride, nCtx);
  if (nCtx < 2) {
    throw new KvgenError(`--ctx-size ${nCtx}: a loss needs two tokens or more in the context`);
  }
  await print(
    run,
    await textLoss({ ...run, scorer, file, stride, perDocument: args.perDocument, bos: args.bos }, text),
  );
}

function strideFor(stride: number | undefined, nCtx: number): number {
  if (stride !== undefined && stride > nCtx) {
    throw new KvgenError(`--stride ${stride}: the context has ${nCtx} tokens; give ${nCtx} or less`);
  }
  return stride ?? usualStride(nCtx);
}

async function print({ args, terminal }: ScoreRun, { tokens, loss, bitsPerByte }: TextLoss): Promise<void> {
  if (args.json) {
    const fields = { tokens, loss, perplexity: Math.exp(loss), bits_per_byte: bitsPerByte };
    await terminal.printJson(fields);
    return;
  }
  const perByte = bitsPerByte === null ? '' : ` · ${bitsPerByte.toFixed(4)} bits per byte`;
  await terminal.print(
    `perplexity ${Math.exp(loss).toFixed(4)} · ${loss.toFixed(4)} nats per token${perByte} · ${tokens} tokens`,
  );
}
