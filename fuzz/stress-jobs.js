// The runs that stress.js interrupts: what each is started with, and what may be left of it when it was stopped somewhere. Knows
// nothing of when that is.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readObjects, short } from './contract.js';

/**
 * @typedef {object} Job
 * @property {string} name
 * @property {readonly string[]} argv
 * @property {readonly string[]} [caches] more arguments, for the runs that are stopped
 * @property {boolean} [endless] does it wait for input that never comes?
 * @property {() => void} [learn] called when it has run to its end for the first time
 * @property {(stdout: string, truth: string, isWhole: boolean) => string[]} check what is wrong with what a stopped run wrote
 */

const SIMD = ['--backend', 'simd', '--threads', '2'];
const STORY = ['--seed', '3', '--ignore-eos', '-n', '150'];
const START = 'Once upon a time there was a little girl who had a red ball and a blue hat. ';
/** The folder that quantize writes. */
export const OUT = 'out';
/** Prompts that begin alike. */
const PROMPTS = ['', 'She', 'She went to the park with her mom and her dad and her dog. ', START, START + START];

/** @param {string} base a folder to work in @returns {Job[]} */
export function jobsIn(base) {
  const cache = ['--prompt-cache', '--cache-dir', join(base, 'cache')];
  writeFileSync(join(base, 'lines.jsonl'), PROMPTS.map((end, id) => `${JSON.stringify(lineOf(id, end))}\n`).join(''));
  writeFileSync(join(base, 'text.txt'), (START + PROMPTS[2]).repeat(12));
  return [
    { name: 'text', argv: [...SIMD, ...STORY, START], check: checkText },
    ...PROMPTS.map((end, i) => ({
      name: `cached text ${i}`,
      argv: [...SIMD, ...STORY, START + end],
      caches: i % 2 === 0 ? cache : [...cache, '--answer-cache'],
      check: checkText,
    })),
    { name: 'samples', argv: [...SIMD, ...STORY, '--samples', '3', START], caches: cache, check: checkSamples },
    { name: 'json', argv: [...SIMD, ...STORY, '--json', START], caches: cache, check: checkJson },
    { name: 'events', argv: [...SIMD, ...STORY, '--jsonl', START], check: checkEvents },
    {
      name: 'batch',
      argv: ['batch', ...SIMD, '--concurrency', '3', join(base, 'lines.jsonl')],
      caches: cache,
      check: checkBatch,
    },
    { name: 'score', argv: ['score', ...SIMD, '--perplexity', join(base, 'text.txt')], check: checkWhole },
    { name: 'verify', argv: [...SIMD, ...STORY, '-n', '40', '--verify-cache', START], caches: cache, check: checkText },
    { name: 'quantize', ...folderJob(['quantize', 'stories', '-o', OUT, '--threads', '2', '-q'], join(base, OUT)) },
    {
      name: 'waiting',
      argv: [...SIMD, '-'],
      endless: true,
      check: (stdout) => (stdout === '' ? [] : [`wrote ${short(stdout)}`]),
    },
    { name: 'node', argv: ['--backend', 'node', ...STORY, START], caches: cache, check: checkText },
  ];
}

function lineOf(id, end) {
  return { id, prompt: START + end, max_tokens: 20 + 20 * id, seed: id, ignore_eos: true };
}

function prefix(part, whole, what) {
  return whole.startsWith(part) ? [] : [`${what}: ${short(part)}, which is no beginning of ${short(whole)}`];
}

/** The text as far as it came, and a newline if it had begun. */
function checkText(stdout, truth, isWhole) {
  if (isWhole && stdout !== truth) {
    return [`exit 0 with ${short(stdout)}, expected ${short(truth)}`];
  }
  return stdout === '' ? [] : prefix(withoutNewline(stdout), truth, 'the text');
}

function withoutNewline(text) {
  return text.endsWith('\n') ? text.slice(0, -1) : `${text}(no newline)`;
}

/** Each sample as far as it came. */
function checkSamples(stdout, truth) {
  const [found, whole] = [stdout, truth].map((text) => text.split('\n---\n'));
  return stdout === ''
    ? []
    : found.flatMap((part, i) => prefix(part.replace(/\n$/, ''), whole[i] ?? '', `sample ${i}`));
}

/** Nothing, or all of it. */
function checkWhole(stdout, truth) {
  return stdout === '' || stdout === truth ? [] : [`wrote ${short(stdout)}, expected ${short(truth)}`];
}

/** One object, whose text is a beginning. */
function checkJson(stdout, truth) {
  const { objects, wrong } = stdout === '' ? { objects: [], wrong: [] } : readObjects(stdout);
  return [...wrong, ...objects.flatMap(({ text, ids }) => prefixOfObject({ text, ids }, JSON.parse(truth)))];
}

function prefixOfObject({ text, ids }, whole) {
  return [...prefix(text, whole.text, 'the text'), ...prefix(ids.join(), whole.ids.join(), 'the ids')];
}

/** Whole events, whose texts together are a beginning. */
function checkEvents(stdout, truth) {
  const { objects, wrong } = stdout === '' ? { objects: [], wrong: [] } : readObjects(stdout);
  const textOf = (events) =>
    events
      .filter(({ type }) => type === 'token')
      .map(({ text }) => text)
      .join('');
  return [...wrong, ...prefix(textOf(objects), textOf(readObjects(truth).objects), 'the events')];
}

/** Whole lines in order; those that were stopped in the middle say so. */
function checkBatch(stdout, truth) {
  const { objects, wrong } = stdout === '' ? { objects: [], wrong: [] } : readObjects(stdout);
  const whole = readObjects(truth).objects;
  for (const object of objects) {
    const expected = whole.find(({ id }) => id === object.id);
    wrong.push(...prefixOfObject(object, expected));
    if (object.finish_reason !== 'abort' && object.text !== expected.text) {
      wrong.push(`line ${object.id} ends early with ${object.finish_reason}`);
    }
  }
  const ids = objects.map(({ id }) => id);
  return ids.every((id, i) => i === 0 || id > ids[i - 1]) ? wrong : [...wrong, `lines ${ids} out of order`];
}

/** No folder, or the whole of it. */
function folderJob(argv, dir) {
  let whole;
  const learn = () => {
    whole = hashOf(dir);
  };
  const check = (_stdout, _truth, isWhole) => {
    const found = hashOf(dir);
    return found === whole || (!isWhole && found === undefined) ? [] : [`${dir}: ${found ?? 'is not there'}`];
  };
  return { argv, learn, check };
}

/** Of all names and contents; undefined: there is nothing. */
function hashOf(dir) {
  if (!existsSync(dir)) {
    return undefined;
  }
  const hash = createHash('sha256');
  for (const name of readdirSync(dir).sort()) {
    hash.update(`${name}\n`).update(readFileSync(join(dir, name)));
  }
  return hash.digest('hex');
}
