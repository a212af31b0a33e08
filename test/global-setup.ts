// Tests that spawn the command run what is in dist/, so it must be current.

import { build } from '../scripts/build.js';

export default async function setup(): Promise<void> {
  await build({ log: (line: string) => process.stderr.write(`${line}\n`) });
}
