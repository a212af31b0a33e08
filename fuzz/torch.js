// Files of torch.save, sound ones from tensors, and changed ones: in the pickle, in what describes the storages, anywhere.
// Reference: torch/serialization.py of PyTorch.

import { mutateBytes } from './mutate.js';

/** @typedef {ReadonlyMap<string, { shape: readonly number[], bytes: Buffer }>} Tensors of float32 */

const latin1 = (text) => Buffer.from(text, 'latin1');
const text = (value) => Buffer.concat([latin1('X'), uint32(Buffer.byteLength(value)), Buffer.from(value)]);
const integer = (n) => Buffer.concat([latin1('J'), uint32(n)]);
const name = (module, of) => latin1(`c${module}\n${of}\n`);
const tuple = (items) => Buffer.concat([latin1('('), ...items, latin1('t')]);
const dict = (pairs) =>
  Buffer.concat([latin1('}('), ...pairs.flatMap(([key, value]) => [text(key), value]), latin1('u')]);
const pickle = (value) => Buffer.concat([latin1('\x80\x02'), value, latin1('.')]);

const MAGIC = latin1('\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.');
/** What nobody saves: names that are refused, calls, and what would grow without end. */
const NASTY = [
  'cos\nsystem\n',
  'cos\nsystem\nX\x04\0\0\0true\x85R',
  "(S'true'\nios\nsystem\n",
  'ctorch._utils\n_rebuild_tensor_v2\n)R',
  'ccollections\nOrderedDict\n)R',
  ']q\x07h\x07a',
  'h\x00',
  '\x82\x01',
  '\x8b\xff\xff\xff\x7f',
  '\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f',
  'X\xff\xff\xff\xff',
  'N}s',
  'Q',
  'b',
  '\x81',
].map(latin1);

/** @param {Tensors} tensors */
export function torchZip(tensors) {
  const records = [...tensors.values()].map(({ bytes }, i) => [`data/${i}`, bytes]);
  return zip([['data.pkl', pickle(stateDict(tensors))], ['byteorder', latin1('little')], ...records]);
}

/** Before PyTorch 1.6. @param {Tensors} tensors */
export function torchLegacy(tensors) {
  const keys = [...tensors.keys()].map((_, i) => text(String(i)));
  const storages = [...tensors.values()].flatMap(({ bytes }) => [uint32(bytes.length / 4), uint32(0), bytes]);
  const machine = dict([['little_endian', latin1('\x88')]]);
  const list = Buffer.concat([latin1(']('), ...keys, latin1('e')]);
  const pickles = [integer(1001), machine, stateDict(tensors), list].map(pickle);
  return Buffer.concat([MAGIC, ...pickles, ...storages]);
}

/** A checkpoint of nanoGPT, whose matrices lie as [out, in]. @param {Tensors} tensors @param config of config.json */
export function nanoGpt(tensors, config) {
  const isLinear = (key) => /(c_attn|c_proj|c_fc)\.weight$/.test(key);
  const model = [...tensors].map(([key, { shape, bytes }]) => [
    `transformer.${key}`,
    { shape: isLinear(key) ? shape.toReversed() : shape, bytes },
  ]);
  const { n_layer, n_head, n_embd, n_positions: block_size, vocab_size } = config;
  const args = Object.entries({ n_layer, n_head, n_embd, block_size, vocab_size });
  const root = dict([
    ['model', stateDict(new Map(model))],
    ['model_args', dict(args.map(([key, value]) => [key, integer(value)]))],
  ]);
  const records = model.map(([, { bytes }], i) => [`data/${i}`, bytes]);
  return zip([['data.pkl', pickle(root)], ...records]);
}

/** @param {Tensors} tensors the storage of each has its place as key */
function stateDict(tensors) {
  const pairs = [...tensors].map(([key, { shape, bytes }], i) => {
    const id = ['storage', String(i), 'cpu'].map(text);
    const storage = tuple([id[0], name('torch', 'FloatStorage'), id[1], id[2], integer(bytes.length / 4)]);
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
    const sizes = [shape, strides].map((numbers) => tuple(numbers.map(integer)));
    const hooks = Buffer.concat([name('collections', 'OrderedDict'), latin1(')R')]);
    const args = tuple([Buffer.concat([storage, latin1('Q')]), integer(0), ...sizes, latin1('\x89'), hooks]);
    return [key, Buffer.concat([name('torch._utils', '_rebuild_tensor_v2'), args, latin1('R')])];
  });
  return dict(pairs);
}

/** Nothing is compressed, and nobody looks at the checksums. */
function zip(entries) {
  let at = 0;
  const files = [];
  const directory = entries.map(([file, bytes]) => {
    const path = `archive/${file}`;
    const sizes = [uint32(0), uint32(bytes.length), uint32(bytes.length)];
    const facts = Buffer.concat([latin1('\x14\0\0\0\0\0\0\0\0\0'), ...sizes, uint16(path.length), uint16(0)]);
    files.push(latin1('PK\x03\x04'), facts, latin1(path), bytes);
    const entry = [latin1('PK\x01\x02\x14\0'), facts, Buffer.alloc(10), uint32(at), latin1(path)];
    at += 30 + path.length + bytes.length;
    return Buffer.concat(entry);
  });
  const central = Buffer.concat(directory);
  const counts = [uint32(0), uint16(entries.length), uint16(entries.length), uint32(central.length), uint32(at)];
  return Buffer.concat([...files, central, latin1('PK\x05\x06'), ...counts, uint16(0)]);
}

/** @param {import('./random.js').Random} random @param {Buffer} bytes of any of these files */
export function mutateTorch(random, bytes) {
  const start = Math.max(0, bytes.indexOf(latin1('\x80\x02')));
  const length = Math.max(1, bytes.lastIndexOf('storage') + 200 - start); // the pickles, and not much behind them
  const [front, middle, rest] = [
    bytes.subarray(0, start),
    bytes.subarray(start, start + length),
    bytes.subarray(start + length),
  ];
  const at = random.below(middle.length);
  return random.pick([
    () => Buffer.concat([front, mutateBytes(random, middle), rest]),
    () => Buffer.concat([front, withByte(middle, at, random.below(256)), rest]),
    () =>
      Buffer.concat([front, withByte(middle, at, random.pick([...latin1('(0129.]}NQRbehoqstu\x81\x85\x93')])), rest]),
    () => Buffer.concat([front, overwritten(middle, at, random.pick(NASTY)), rest]),
    () => Buffer.concat([front, middle.subarray(0, at), random.pick(NASTY), middle.subarray(at), rest]),
    () => Buffer.concat([front, middle, mutateBytes(random, rest)]),
    () => mutateBytes(random, bytes),
  ])();
}

function withByte(bytes, at, byte) {
  return overwritten(bytes, at, Buffer.of(byte));
}

/** Of the same length, so that what stands behind is where it was. */
function overwritten(bytes, at, part) {
  const copy = Buffer.from(bytes);
  part.copy(copy, at);
  return copy;
}

function uint16(n) {
  return Buffer.of(n & 0xff, n >> 8);
}

function uint32(n) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(n);
  return bytes;
}
