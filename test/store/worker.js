// One process of the store alone: looks up, checks and keeps prompts with shared beginnings until it is killed or has
// done enough. Arguments: the folder, a seed, how many rounds. Exit code 1 and a line when a look-up was wrong.

import { PromptStore } from '../../dist/store/prompts.js';
import { StoreFolder } from '../../dist/store/store-folder.js';
import { computed, SHAPE, wrongWith } from './computed.js';

const [folder, seed, rounds] = process.argv.slice(2);
const store = new PromptStore({
  folder: new StoreFolder(folder),
  write: true,
  limits: { maxBytes: 120_000, maxAgeMs: 1e9 }, // some twenty files: every round makes room
  fingerprint: 'f'.repeat(64),
  dtype: 'float32',
  shape: SHAPE,
  model: 'made up',
  onNote: (line) => process.stderr.write(`${line}\n`),
});

let state = Number(seed);
function below(n) {
  state = (state * 48271 + 11) % 2147483647;
  return state % n;
}

process.stdout.write('ready\n');
for (let round = 0; round < Number(rounds); round++) {
  const shared = 16 * below(6);
  const own = below(4);
  const ids = Array.from({ length: 1 + shared + below(40) }, (_, i) => (i < shared ? i : 1000 * own + i));
  const wrong = wrongWith(ids, store.find(ids));
  if (wrong !== undefined) {
    process.stderr.write(`WRONG: ${wrong}\n`);
    process.exit(1);
  }
  store.keep(computed(ids));
}
