// Changes bytes, texts and JSON at random, a little at a time: what is nearly right reaches further than noise. Knows nothing of
// what the data means.

import { JSON_TEXTS, TEXTS, VALUES } from './nasty.js';

/**
 * @param {import('./random.js').Random} random
 * @param {Buffer} bytes is left as it is
 * @returns {Buffer}
 */
export function mutateBytes(random, bytes) {
  const at = random.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + random.pick([1, 1, 2, 4, 8, 64, 1000]));
  const [before, part, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)];
  const changes = [
    () => [before, Buffer.from(part.map((byte) => byte ^ (1 << random.below(8)))), after], // flipped
    () => [before, Buffer.from(part.map((byte) => byte ^ (1 << random.below(8)))), after],
    () => [before, random.bytes(part.length), after],
    () => [before, after], // cut out
    () => [before], // cut off
    () => [before, random.bytes(random.pick([1, 4, 8])), part, after],
    () => [before, part, part, after], // doubled
    () => [before, Buffer.alloc(part.length, random.pick([0, 0xff, 0x7f, 0x80, 0x20])), after],
    () => [before, bytes.subarray(random.below(bytes.length)).subarray(0, part.length), after], // a part of it elsewhere
    () => [after, before],
  ];
  return Buffer.concat(random.pick(changes)());
}

/**
 * @param {import('./random.js').Random} random
 * @param {string} text
 * @returns {string}
 */
export function mutateText(random, text) {
  const at = random.below(text.length + 1);
  const end = Math.min(text.length, at + random.between(0, 4));
  const middle = random.pick([
    () => random.pick(TEXTS),
    () => '',
    () => text.slice(at, end).repeat(random.between(2, 50)),
    () => String.fromCharCode(random.below(random.pick([128, 256, 0x10000]))),
    () => text.slice(random.below(text.length), end),
  ])();
  return text.slice(0, at) + middle + text.slice(end);
}

/**
 * Changes one node of a JSON value.
 * @param {import('./random.js').Random} random
 * @param {unknown} value is left as it is
 * @returns {unknown}
 */
export function mutateJson(random, value) {
  const copy = structuredClone(value);
  const nodes = containersOf(copy);
  if (nodes.length === 0 || random.chance(0.02)) {
    return random.pick(VALUES);
  }
  const node = random.pick(nodes);
  const keys = Object.keys(node);
  const key = random.pick(keys);
  const change = random.pick([
    () => set(node, key, random.pick(VALUES)),
    () => set(node, key, random.pick(VALUES)),
    () => set(node, key, near(random, node[key])),
    () => set(node, key, near(random, node[key])),
    () => remove(node, key),
    () => set(node, key, node[random.pick(keys)]),
    () => set(node, key, random.pick([[node[key]], { [key]: node[key] }])),
    () => set(node, Array.isArray(node) ? String(node.length) : mutateText(random, key), node[key]),
    () => set(node, random.pick(['__proto__', 'constructor', 'x', '']), random.pick(VALUES)),
    () => Array.isArray(node) && node.reverse(),
  ]);
  if (keys.length > 0) {
    change();
  }
  return copy;
}

/**
 * A JSON text with a mistake that JSON.stringify would not make.
 * @param {import('./random.js').Random} random
 * @param {string} text
 */
export function mutateJsonText(random, text) {
  // In the place of a value: behind a colon, a bracket or a comma.
  const places = [...text.matchAll(/(?<=[:[,])\s*(?:"(?:[^"\\]|\\.)*"|[\w.+-]+)/g)];
  const place = random.pick(places);
  if (place === undefined || random.chance(0.2)) {
    return random.pick([() => mutateText(random, text), () => `\ufeff${text}`, () => text + random.pick(JSON_TEXTS)])();
  }
  return text.slice(0, place.index) + random.pick(JSON_TEXTS) + text.slice(place.index + place[0].length);
}

/** @returns {Record<string, unknown>[]} all objects and lists in a value, itself too */
function containersOf(value, depth = 0) {
  if (typeof value !== 'object' || value === null || depth > 50) {
    return [];
  }
  return [value, ...Object.values(value).flatMap((inner) => containersOf(inner, depth + 1))];
}

/** Not by assignment, which for `__proto__` would do something else. */
function set(node, key, value) {
  Object.defineProperty(node, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Not by splice, which asks for a `constructor` that may have been set. */
function remove(node, key) {
  if (Array.isArray(node)) {
    node.copyWithin(Number(key), Number(key) + 1);
    node.length--;
  } else {
    delete node[key];
  }
}

/** Almost the value. */
function near(random, value) {
  if (typeof value === 'number') {
    return random.pick([value + 1, value - 1, -value, value * 2, value / 2, value + 0.5, String(value), value * 1e9]);
  }
  if (typeof value === 'string') {
    return random.pick([mutateText(random, value), [value], value.toUpperCase(), Number(value) || 0]);
  }
  if (Array.isArray(value)) {
    const list = [...value]; // it may have been given a constructor, which `slice` would ask
    return random.pick([[...list, ...list], list.slice(1), list.slice(0, -1), { ...list }, list[0]]);
  }
  return value === true ? false : value === false ? true : [value];
}
