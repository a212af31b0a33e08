// Pulls in this process from a fake hub, with little patience, and what they said and left.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Pulled, type PullOptions, pull } from '../../src/hub/pull.js';
import type { FakeHub } from './fake-hub.js';

export const IMPATIENT = { silence: 20_000, retries: 3, firstDelay: 5, giveUp: 60_000, longestWait: 1500 };
export const COMMIT = 'c'.repeat(40);

export interface Said {
  readonly notes: string[];
  readonly files: string[];
  /** Of the bytes that were here: the most of any file. */
  resumed: number;
}

/** Pulls `me/model`, or what `options` say. */
export async function pullFrom(
  hub: FakeHub,
  cache: string,
  options: Partial<PullOptions> = {},
): Promise<Pulled & { said: Said }> {
  const said: Said = { notes: [], files: [], resumed: 0 };
  const pulled = await pull({
    hub: hub.url,
    model: 'me/model',
    revision: 'main',
    patterns: [],
    token: undefined,
    cache,
    signal: new AbortController().signal,
    onNote: (line) => said.notes.push(line),
    onProgress: () => {},
    onConfig: () => {},
    onFile: ({ path }, { resumed }) => {
      said.files.push(path);
      said.resumed = Math.max(said.resumed, resumed);
    },
    patience: IMPATIENT,
    ...options,
  });
  return { ...pulled, said };
}

/** The names of all blobs of `me/model`, unfinished ones too. */
export function blobs(cache: string, model = 'me/model'): string[] {
  const dir = join(cache, `models--${model.replace('/', '--')}`, 'blobs');
  return existsSync(dir) ? readdirSync(dir).sort() : [];
}

/** A file of a snapshot. */
export function read(dir: string, path: string): Buffer {
  return readFileSync(join(dir, path));
}

/** Bytes that no compression and no chance can mistake for others. */
export function randomBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, state = seed; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
