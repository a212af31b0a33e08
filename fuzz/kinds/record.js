// Records of runs, changed: `kvgen view` draws them, or says what is wrong with them.

import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { breaches } from '../contract.js';
import { kvgen } from '../inside.js';
import { mutateBytes, mutateJson, mutateJsonText, mutateText } from '../mutate.js';
import { JSON_TEXTS } from '../nasty.js';

const RECORD = 'run.json';
const PAGE = 'page.html';

/** Records a small run. */
export async function makeRecord(base) {
  const options = ['-n', '4', '--seed', '1', '--threads', '1', '--logprobs', '2', '-q'];
  const files = ['--record', join(base, RECORD), '-o', join(base, PAGE)];
  const made = await kvgen(['view', '-m', join(base, 'models', 'float32'), ...options, ...files, 'Once upon']);
  if (made.code !== 0) {
    throw new Error(`view: ${made.stderr}`);
  }
}

/** @type {import('./index.js').Kind} */
export const recordKind = {
  name: 'record',
  weight: 15,
  async run(random, { base }, tell) {
    const text = readFileSync(join(base, RECORD), 'utf8');
    const changed = random.pick([
      () => JSON.stringify(mutateJson(random, JSON.parse(text))),
      () => JSON.stringify(mutateJson(random, JSON.parse(text))),
      () => JSON.stringify(mutateJson(random, mutateJson(random, JSON.parse(text)))),
      () => mutateJsonText(random, text),
      () => mutateText(random, text),
      () => mutateBytes(random, Buffer.from(text)),
      () => random.pick(JSON_TEXTS),
    ])();
    writeFileSync(RECORD, changed);
    rmSync(PAGE, { force: true });
    const ended = await kvgen(['view', '-o', PAGE, RECORD]);
    tell(`${changed.toString().slice(0, 3000)}\n→ ${ended.code} ${ended.stderr}`);
    const wrong = breaches(ended, [0, 1]);
    if (existsSync(PAGE) !== (ended.code === 0)) {
      wrong.push(`exit code ${ended.code}, and ${existsSync(PAGE) ? 'a' : 'no'} page`);
    }
    return { wrong, refused: ended.code !== 0 };
  },
};
