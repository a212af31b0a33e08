// Which kvgen this is: package.json says it, in the sources, in dist/ and in an installed package alike.

import { readFileSync } from 'node:fs';

export function kvgenVersion(): string {
  return JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version;
}
