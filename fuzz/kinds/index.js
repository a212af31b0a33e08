// All kinds of cases, and what they begin with. Another kind is a file here and an import below.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { writeFolders } from '../corpus.js';
import { kvgen } from '../inside.js';
import { answersKind } from './answers.js';
import { argumentsKind } from './arguments.js';
import { batchKind } from './batch.js';
import { cacheKind, fillCache } from './cache.js';
import { ggufKind } from './gguf.js';
import { modelKind } from './model.js';
import { piecesKind } from './pieces.js';
import { makeRecord, recordKind } from './record.js';
import { sameKind } from './same.js';
import { serverKind } from './server.js';
import { spawnedKind } from './spawned.js';
import { tokenizerKind } from './tokenizer.js';

/**
 * @typedef {object} Place where a case may work
 * @property {string} base what `prepare` has made; it is left as it is
 * @property {string} dir empty, and the current folder
 *
 * @typedef {object} Verdict
 * @property {string[]} wrong
 * @property {boolean} [refused] did kvgen refuse it?
 *
 * @typedef {object} Kind
 * @property {string} name
 * @property {number} weight its share of the cases
 * @property {number} [patience] how many times as long as others it may take
 * @property {(random: import('../random.js').Random, place: Place, tell: (line: string) => void) => Promise<Verdict>} run
 */

/** @type {readonly Kind[]} */
export const KINDS = [
  modelKind,
  ggufKind,
  tokenizerKind,
  piecesKind,
  cacheKind,
  batchKind,
  argumentsKind,
  recordKind,
  sameKind,
  serverKind,
  answersKind,
  spawnedKind,
];

/** @param {Place} place */
export async function prepare({ base }) {
  writeFolders(join(base, 'models'));
  execFileSync('mkfifo', [join(base, 'fifo')]);
  const source = join(base, 'models', 'float32');
  const made = await kvgen(['quantize', source, '-o', join(base, 'models', 'int8'), '--threads', '1', '-q']);
  if (made.code !== 0) {
    throw new Error(`quantize: ${made.stderr}`);
  }
  await fillCache(base);
  await makeRecord(base);
}
