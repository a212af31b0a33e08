// Lines of a batch: sound ones among broken ones. Each has its answer, in order, and a broken one harms no other.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { breaches, messageBreaches, readObjects, short } from '../contract.js';
import { LINES } from '../corpus.js';
import { kvgen } from '../inside.js';
import { mutateBytes, mutateJson, mutateJsonText, mutateText } from '../mutate.js';
import { JSON_TEXTS } from '../nasty.js';
import { replaceFile } from './files.js';
import { textOf } from './model.js';

const sound = (id) => ({ id, prompt: 'Once upon', max_tokens: 4, temperature: 0, logprobs: 0 });
const SOUND_ID = /^sound \d+$/;
/** Of an error, in characters. */
const MAX_ERROR = 300;
/** What a sound line gives; computed once. */
let truth;

/** @type {import('./index.js').Kind} */
export const batchKind = {
  name: 'batch',
  weight: 30,
  async run(random, { base }, tell) {
    const command = ['batch', '-m', join(base, 'models', 'float32'), '--threads', '1', '-n', '3', './lines'];
    if (truth === undefined) {
      writeFileSync('lines', JSON.stringify(sound(0)));
      truth = textOf(await kvgen(command));
    }
    if (random.chance(0.02)) {
      // A pipe that a person names is waited for, as it should be.
      tell(replaceFile(random, 'lines', base, ['a pipe']));
      const ended = await kvgen(command);
      return { wrong: breaches(ended, [0, 1]), refused: ended.code !== 0 };
    }
    const lines = Array.from({ length: random.between(1, 6) }, (_, i) =>
      random.chance(0.3) ? Buffer.from(JSON.stringify(sound(`sound ${i}`))) : broken(random),
    );
    writeFileSync('lines', Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')])));
    const more = random.pick([[], ['--concurrency', '1'], ['--prompt-cache', '--cache-dir', './c']]);
    const ended = await kvgen([...command, ...more]);
    tell(`${lines.join('\n').slice(0, 3000)}\n→ ${ended.code} ${ended.stderr}\n${ended.stdout}`);
    return judge(lines, ended);
  },
};

/** @param {readonly Buffer[]} lines @returns {import('./index.js').Verdict} */
function judge(lines, ended) {
  const { objects, wrong } = readObjects(ended.stdout);
  const failed = objects.some((object) => 'error' in object);
  wrong.push(...breaches({ ...ended, code: 0 }), ...objects.flatMap(errorBreaches));
  if (ended.code !== (failed ? 1 : 0)) {
    wrong.push(`exit code ${ended.code}, with ${failed ? 'an error' : 'no error'} in a line`);
  }
  const asked = lines.filter((line) => line.toString().trim() !== '');
  if (objects.length < asked.length) {
    wrong.push(`${asked.length} lines, ${objects.length} answers`);
  }
  const ids = lines.flatMap((line) => /^\{"id":"(sound \d+)"/.exec(line.toString())?.[1] ?? []);
  const answered = objects.filter(({ id }) => SOUND_ID.test(id));
  if (answered.map(({ id }) => id).join() !== ids.join()) {
    wrong.push(`lines ${ids.join()}, answers ${answered.map(({ id }) => id).join()}`);
  }
  for (const object of answered.filter((object) => textOf({ stdout: JSON.stringify(object) }) !== truth)) {
    wrong.push(`a sound line gave ${short(JSON.stringify(object))}`);
  }
  return { wrong, refused: failed };
}

function broken(random) {
  const line = random.pick(LINES);
  const text = random.pick([
    () => JSON.stringify(mutateJson(random, JSON.parse(line))),
    () => JSON.stringify(mutateJson(random, mutateJson(random, JSON.parse(line)))),
    () => JSON.stringify(mutateJson(random, JSON.parse(line))),
    () => mutateJsonText(random, line),
    () => mutateText(random, line),
    () => random.pick(JSON_TEXTS),
    () => line,
  ])();
  const bytes = Buffer.from(text);
  return Buffer.from(
    (random.chance(0.1) ? mutateBytes(random, bytes) : bytes).map((byte) => (byte === 10 ? 32 : byte)),
  );
}

/** @param {any} object of the output */
function errorBreaches({ error }) {
  if (error === undefined) {
    return [];
  }
  if (typeof error !== 'string' || error === '') {
    return [`the error of a line is ${JSON.stringify(error)}`];
  }
  const long = error.length > MAX_ERROR ? [`an error of ${error.length} characters: ${short(error)}`] : [];
  return [...messageBreaches(error), ...long];
}
