// Counts that bound what is kept in memory before a weight is read: of layers, of the numbers of a head.

import type { ConfigReader } from './config.js';

/** More than any model has. */
export const MOST = 10_000;

/** @param alias as in `ConfigReader.count` @throws KvgenError for a number that no model has */
export function readFew(read: ConfigReader, key: string, fallback: number, alias?: string): number {
  const value = read.count(key, fallback, alias);
  if (value > MOST) {
    throw read.wrong(key, `${MOST} or less`, value);
  }
  return value;
}
