// The README.md of an int8 folder: what it is, what it was made from, how it is run, and what it costs.

import { basename } from 'node:path';
import { megabytes } from '../../errors.js';
import { kvgenVersion } from '../../native/status.js';

/** Bytes of the weights' files. */
export interface Sizes {
  readonly before: number;
  readonly after: number;
}

/** Nats per token. */
export interface Losses {
  /** The text that they were measured on. */
  readonly file: string;
  readonly before: number;
  readonly after: number;
}

interface CardFacts {
  /** Of the model that the folder was made from. */
  readonly name: string;
  /** The name of the folder itself. */
  readonly folder: string;
  readonly sizes: Sizes;
  readonly losses: Losses | undefined;
}

export function modelCard({ name, folder, sizes, losses }: CardFacts): string {
  const loss = losses === undefined ? [] : [`Loss on \`${basename(losses.file)}\`: ${lossWords(losses)}.`, ''];
  return [
    `# ${name} in int8`,
    '',
    `The weights of \`${name}\` as 8-bit integers with one scale for each output row, written by kvgen ${kvgenVersion()}.`,
    `Biases, norms and the embedding of positions are float32. The weights had ${megabytes(sizes.before)} and have ${megabytes(sizes.after)}.`,
    '',
    ...loss,
    `    kvgen -m ./${folder} "Once upon a time"`,
    '',
    "It loads without converting, on kvgen's simd backend alone: its matrices lie in the file as they do in memory. How:",
    '`docs/int8-format.md` of kvgen. License, training data and what it is good for: as with the model it was made from.',
    '',
  ].join('\n');
}

/** `2.3456 → 2.3467 nats per token (+0.0011)` */
export function lossWords({ before, after }: Losses): string {
  const difference = after - before;
  const signed = `${difference < 0 ? '−' : '+'}${Math.abs(difference).toFixed(4)}`;
  return `${before.toFixed(4)} → ${after.toFixed(4)} nats per token (${signed})`;
}
