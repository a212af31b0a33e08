// The process in which cases run, one after the other, and which may hang or die of one: watch.js sees to that. It says which case
// it begins before it begins it.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Random } from './random.js';

/** @typedef {import('./watch.js').Order} Order */

process.on('disconnect', () => process.exit(1));
process.on('message', (/** @type {Order} */ order) => {
  work(order).then(
    () => process.exit(0),
    (error) => {
      process.send?.({ failed: error.stack });
      process.exit(1);
    },
  );
});

/** @param {Order} order */
async function work({ base, seed, from, to, kinds: module, only }) {
  const own = mkdtempSync(join(base, 'worker-'));
  settle(own);
  const { KINDS, prepare } = await import(pathToFileURL(module).href);
  const kinds = KINDS.filter(({ name }) => only === undefined || name === only);
  if (kinds.length === 0) {
    throw new Error(`no kind ${only}; there are ${KINDS.map(({ name }) => name).join(', ')}`);
  }
  const place = { base: own, dir: '' };
  await prepare(place);
  for (let n = from; n < to; n++) {
    const random = new Random(seed, n);
    const kind = choose(random, kinds);
    process.send?.({ begin: { n, kind: kind.name, patience: kind.patience } });
    place.dir = join(own, `case-${n}`);
    mkdirSync(place.dir);
    process.chdir(place.dir);
    const before = process.cpuUsage();
    const verdict = await runCase(kind, random, place);
    const { user, system } = process.cpuUsage(before);
    process.send?.({ result: { ...verdict, ms: (user + system) / 1000 } });
    process.chdir(own);
    rmSync(place.dir, { recursive: true, force: true });
  }
}

/** Nothing of the machine's own may be read, and least of all removed. */
function settle(own) {
  for (const name of Object.keys(process.env).filter((name) => /^(KVGEN|XDG|HF)_/.test(name))) {
    delete process.env[name];
  }
  const home = join(own, 'home');
  mkdirSync(home);
  Object.assign(process.env, { HOME: home, XDG_CACHE_HOME: join(home, '.cache'), HF_HOME: join(home, 'hf') });
  Object.assign(process.env, {
    KVGEN_MODEL: join(own, 'models', 'float32'),
    KVGEN_BACKEND: 'simd',
    NO_COLOR: '1',
    CI: '1',
  });
}

/** By their weights. */
function choose(random, kinds) {
  let left = random.below(kinds.reduce((sum, { weight }) => sum + weight, 0));
  return kinds.find(({ weight }) => {
    left -= weight;
    return left < 0;
  });
}

/** What was lost on the way, such as a promise that nobody awaited, is the case's fault too. */
async function runCase(kind, random, place) {
  const lost = [];
  const lose = (error) => lost.push(`not caught: ${error?.stack ?? error}`);
  process.on('uncaughtException', lose).on('unhandledRejection', lose);
  try {
    const { wrong, refused = false } = await kind.run(random, place, (told) => process.send?.({ told }));
    await new Promise((resolve) => setImmediate(resolve));
    return { refused, wrong: [...wrong, ...lost] };
  } catch (error) {
    return { refused: false, wrong: [`thrown: ${error?.stack ?? error}`, ...lost] };
  } finally {
    process.removeListener('uncaughtException', lose).removeListener('unhandledRejection', lose);
  }
}
