// Reads a pickle, the format in which Python writes objects: a program for a machine with a stack and a memo. This one
// builds dicts, lists, tuples, numbers and texts, and runs nothing: what the program asks for by name, and what it calls,
// is answered by `PickleNames` alone. Everything that it can make grow has a limit. Knows nothing of tensors or files.
// Reference: the comments in pickletools.py of Python, which say what each opcode does.

import { KvgenError, shown } from '../errors.js';

/** What a pickle refers to outside itself. */
export interface PickleNames {
  /** What a name stands for, such as `collections` and `OrderedDict`. @throws KvgenError for one that is not known */
  find(module: string, name: string): unknown;
  /** The result of a call. @throws KvgenError where `callee` is nothing that `find` gave, or the arguments do not fit */
  call(callee: unknown, args: readonly unknown[]): unknown;
  /** What an id of an object that is stored elsewhere stands for. @throws KvgenError for what is no such id */
  load(id: unknown): unknown;
}

/** A tuple of Python; a list is an array, a dict a Map, None null, and an integer past 2^53 a bigint. */
export class Tuple {
  readonly items: readonly unknown[];

  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

/** An object for messages: what may hold others by its kind alone, as it may hold itself, or a million of them. */
export function shownObject(value: unknown): string {
  if (value instanceof Map) {
    return 'a dict';
  }
  if (Array.isArray(value) || value instanceof Tuple) {
    return 'a list';
  }
  return typeof value === 'object' && value !== null ? 'an object' : shown(value);
}

/** The first keys of a dict, for messages. */
export function shownKeys(dict: ReadonlyMap<unknown, unknown>): string {
  const keys = [...dict.keys()].slice(0, 20);
  return shown(keys.map((key) => (typeof key === 'string' ? key : shownObject(key))));
}

/** The program goes on behind the last byte. */
export class PickleEnds extends Error {}

/** A hundred thousand tensors need half of each. Texts are no longer than the file, because none is written twice. */
const MAX = { opcodes: 10_000_000, objects: 1_500_000, memo: 3_000_000, stack: 1_000_000, marks: 1000 };
const MAX_LINE = 10_000;
const MAX_INTEGER_BYTES = 32;
const HIGHEST_PROTOCOL = 5;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Runs a pickle to its end.
 * @param where the file, for messages
 * @returns the object, and the byte behind the pickle
 * @throws KvgenError for what is no pickle or has too much in it, and what `names` throws; PickleEnds where bytes are missing
 */
export function unpickle(
  bytes: Uint8Array,
  names: PickleNames,
  where: string,
  from = 0,
): { readonly value: unknown; readonly end: number } {
  return new Machine(bytes, names, where, from).run();
}

type Action = (machine: Machine) => void;

class Machine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #names: PickleNames;
  readonly #where: string;
  readonly #memo = new Map<number, unknown>();
  /** The stacks below the marks. */
  readonly #below: unknown[][] = [];
  #stack: unknown[] = [];
  #at: number;
  #objects = 0;

  constructor(bytes: Uint8Array, names: PickleNames, where: string, from: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#names = names;
    this.#where = where;
    this.#at = from;
  }

  run() {
    for (let opcodes = 0; opcodes < MAX.opcodes; opcodes++) {
      const opcode = this.byte();
      if (opcode === STOP) {
        return { value: this.pop(), end: this.#at };
      }
      const action = ACTIONS[opcode];
      if (action === undefined) {
        throw this.wrong(`byte ${this.#at - 1}: no opcode has the number ${opcode}`);
      }
      action(this);
    }
    throw this.wrong(`more than ${MAX.opcodes} opcodes`);
  }

  wrong(what: string): KvgenError {
    return new KvgenError(`${this.#where}: not a pickle that can be read (${what}); download it again`);
  }

  // What the program reads from behind an opcode.

  byte(): number {
    return this.take(1)[0] as number;
  }

  uint16(): number {
    return this.#view.getUint16(this.#skip(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#skip(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#skip(4), true);
  }

  uint64(): number {
    return Number(this.#view.getBigUint64(this.#skip(8), true));
  }

  float(): number {
    return this.#view.getFloat64(this.#skip(8), false);
  }

  take(length: number): Uint8Array {
    const from = this.#skip(length);
    return this.#bytes.subarray(from, from + length);
  }

  text(length: number): string {
    const bytes = this.take(length);
    try {
      return UTF8.decode(bytes);
    } catch {
      throw this.wrong(`byte ${this.#at - length}: a text that is not UTF-8`);
    }
  }

  /** Up to the next line feed, which is passed over. */
  line(): string {
    const rest = this.#bytes.subarray(this.#at, this.#at + MAX_LINE);
    const length = rest.indexOf(0x0a);
    if (length < 0 && rest.length === MAX_LINE) {
      throw this.wrong(`byte ${this.#at}: a line of more than ${MAX_LINE} bytes`);
    }
    const line = this.text(length < 0 ? rest.length + 1 : length);
    this.#skip(1);
    return line;
  }

  /** Little-endian, in two's complement. */
  integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES) {
      throw this.wrong(`byte ${this.#at}: an integer of ${length} bytes`);
    }
    const bytes = this.take(length);
    const size = bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
    return short(BigInt.asIntN(8 * length, size));
  }

  /** An integer in decimal digits, behind which Python 2 writes an L. */
  digits(line = this.line().replace(/L$/, '')): number | bigint {
    if (!/^[+-]?\d{1,80}$/.test(line)) {
      throw this.wrong(`expected an integer, found ${shown(line)}`);
    }
    return short(BigInt(line.replace(/^\+/, '')));
  }

  // The stack.

  push(value: unknown): void {
    if (this.#stack.length >= MAX.stack) {
      throw this.wrong(`more than ${MAX.stack} objects on the stack`);
    }
    this.#stack.push(value);
  }

  /** Pushes what takes up memory. */
  make(value: unknown): void {
    this.#objects += 1;
    if (this.#objects > MAX.objects) {
      throw this.wrong(`more than ${MAX.objects} objects`);
    }
    this.push(value);
  }

  pop(): unknown {
    if (this.#stack.length === 0) {
      throw this.wrong(`byte ${this.#at - 1}: nothing on the stack`);
    }
    return this.#stack.pop();
  }

  /** In the order in which they were pushed. */
  popMany(count: number): unknown[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  top(): unknown {
    const value = this.pop();
    this.#stack.push(value);
    return value;
  }

  mark(): void {
    if (this.#below.length >= MAX.marks) {
      throw this.wrong(`nested more than ${MAX.marks} deep`);
    }
    this.#below.push(this.#stack);
    this.#stack = [];
  }

  popMark(): unknown[] {
    const items = this.#stack;
    const below = this.#below.pop();
    if (below === undefined) {
      throw this.wrong(`byte ${this.#at - 1}: no mark on the stack`);
    }
    this.#stack = below;
    return items;
  }

  /** Takes the top away, or a mark that lies there. */
  drop(): void {
    if (this.#stack.length === 0 && this.#below.length > 0) {
      this.popMark();
    } else {
      this.pop();
    }
  }

  append(items: readonly unknown[]): void {
    const list = this.top();
    if (!Array.isArray(list) && !(list instanceof Set)) {
      throw this.wrong(`byte ${this.#at - 1}: items for what is no list`);
    }
    for (const item of items) {
      Array.isArray(list) ? list.push(item) : list.add(item);
    }
  }

  setItems(pairs: readonly unknown[]): void {
    const dict = this.top();
    if (!(dict instanceof Map) || pairs.length % 2 !== 0) {
      throw this.wrong(`byte ${this.#at - 1}: items for what is no dict`);
    }
    for (let i = 0; i < pairs.length; i += 2) {
      dict.set(pairs[i], pairs[i + 1]);
    }
  }

  put(key: number): void {
    if (this.#memo.size >= MAX.memo) {
      throw this.wrong(`more than ${MAX.memo} objects in the memo`);
    }
    this.#memo.set(key, this.top());
  }

  memoize(): void {
    this.put(this.#memo.size);
  }

  get(key: number): void {
    if (!this.#memo.has(key)) {
      throw this.wrong(`byte ${this.#at - 1}: nothing in the memo under ${key}`);
    }
    this.push(this.#memo.get(key));
  }

  // What is outside.

  find(module: unknown, name: unknown): unknown {
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.wrong(`byte ${this.#at - 1}: a name that is no text`);
    }
    return this.#names.find(module, name);
  }

  call(callee: unknown, args: unknown): void {
    if (!(args instanceof Tuple)) {
      throw this.wrong(`byte ${this.#at - 1}: a call without a tuple of arguments`);
    }
    this.make(this.#names.call(callee, args.items));
  }

  load(id: unknown): void {
    this.make(this.#names.load(id));
  }

  /** The attributes of an object: those of a dict are passed over, and nothing else that can be made has any. */
  build(): void {
    this.pop();
    if (!(this.top() instanceof Map)) {
      throw this.wrong(`byte ${this.#at - 1}: attributes for what is no dict`);
    }
  }

  protocol(): void {
    const version = this.byte();
    if (version > HIGHEST_PROTOCOL) {
      throw this.wrong(`expected a protocol of 0 to ${HIGHEST_PROTOCOL}, found ${version}`);
    }
  }

  /** @returns the place of bytes that are passed over */
  #skip(length: number): number {
    const from = this.#at;
    if (from + length > this.#bytes.length) {
      throw new PickleEnds();
    }
    this.#at += length;
    return from;
  }
}

function short(integer: bigint): number | bigint {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

/** A text in quotes, as Python shows it; one with escapes is none that a file of tensors has. */
function quoted(machine: Machine): string {
  const line = machine.line();
  const text = /^(["'])([^\\]*)\1$/.exec(line)?.[2];
  if (text === undefined) {
    throw machine.wrong(`expected a text in quotes, found ${shown(line)}`);
  }
  return text;
}

/** A text as protocol 0 writes it, but for one with escapes or bytes of Latin-1. */
function plain(machine: Machine): string {
  const line = machine.line();
  if (!/^[\x20-\x5b\x5d-\x7e]*$/.test(line)) {
    throw machine.wrong(`expected a plain text, found ${shown(line)}`);
  }
  return line;
}

/** A float as protocol 0 writes it. */
function decimal(machine: Machine): number {
  const line = machine.line();
  const number = /^-?inf$/.test(line) ? Number(`${line}inity`.replace('inf', 'Inf')) : Number(line);
  if (line.trim() === '' || (Number.isNaN(number) && line !== 'nan')) {
    throw machine.wrong(`expected a number, found ${shown(line)}`);
  }
  return number;
}

function dictOf(machine: Machine, pairs: readonly unknown[]): void {
  machine.make(new Map());
  machine.setItems(pairs);
}

function noExtension(machine: Machine, code: number): never {
  throw machine.wrong(`asks for the extension ${code}, and none is known`);
}

const STOP = 0x2e;

/** By their letters, in the order of pickletools.py. */
const OPCODES: readonly (readonly [letter: string, action: Action])[] = [
  ['I', (m) => m.push(integerOrBool(m))],
  ['J', (m) => m.push(m.int32())],
  ['K', (m) => m.push(m.byte())],
  ['M', (m) => m.push(m.uint16())],
  ['L', (m) => m.push(m.digits())],
  ['\x8a', (m) => m.push(m.integer(m.byte()))],
  ['\x8b', (m) => m.push(m.integer(m.uint32()))],
  ['S', (m) => m.make(quoted(m))],
  ['T', (m) => m.make(m.text(m.uint32()))],
  ['U', (m) => m.make(m.text(m.byte()))],
  ['B', (m) => m.make(m.take(m.uint32()))],
  ['C', (m) => m.make(m.take(m.byte()))],
  ['\x8e', (m) => m.make(m.take(m.uint64()))],
  ['\x96', (m) => m.make(m.take(m.uint64()))],
  ['N', (m) => m.push(null)],
  ['\x88', (m) => m.push(true)],
  ['\x89', (m) => m.push(false)],
  ['V', (m) => m.make(plain(m))],
  ['\x8c', (m) => m.make(m.text(m.byte()))],
  ['X', (m) => m.make(m.text(m.uint32()))],
  ['\x8d', (m) => m.make(m.text(m.uint64()))],
  ['F', (m) => m.push(decimal(m))],
  ['G', (m) => m.push(m.float())],
  [']', (m) => m.make([])],
  ['a', (m) => m.append(m.popMany(1))],
  ['e', (m) => m.append(m.popMark())],
  ['l', (m) => m.make(m.popMark())],
  [')', (m) => m.make(new Tuple([]))],
  ['t', (m) => m.make(new Tuple(m.popMark()))],
  ['\x85', (m) => m.make(new Tuple(m.popMany(1)))],
  ['\x86', (m) => m.make(new Tuple(m.popMany(2)))],
  ['\x87', (m) => m.make(new Tuple(m.popMany(3)))],
  ['}', (m) => dictOf(m, [])],
  ['d', (m) => dictOf(m, m.popMark())],
  ['s', (m) => m.setItems(m.popMany(2))],
  ['u', (m) => m.setItems(m.popMark())],
  ['\x8f', (m) => m.make(new Set())],
  ['\x90', (m) => m.append(m.popMark())],
  ['\x91', (m) => m.make(new Set(m.popMark()))],
  ['0', (m) => m.drop()],
  ['2', (m) => m.push(m.top())],
  ['(', (m) => m.mark()],
  ['1', (m) => void m.popMark()],
  ['g', (m) => m.get(Number(m.digits()))],
  ['h', (m) => m.get(m.byte())],
  ['j', (m) => m.get(m.uint32())],
  ['p', (m) => m.put(Number(m.digits()))],
  ['q', (m) => m.put(m.byte())],
  ['r', (m) => m.put(m.uint32())],
  ['\x94', (m) => m.memoize()],
  ['\x82', (m) => noExtension(m, m.byte())],
  ['\x83', (m) => noExtension(m, m.uint16())],
  ['\x84', (m) => noExtension(m, m.int32())],
  ['c', (m) => m.push(m.find(m.line(), m.line()))],
  ['\x93', (m) => findPopped(m)],
  ['R', (m) => callPopped(m)],
  ['b', (m) => m.build()],
  ['i', (m) => m.call(m.find(m.line(), m.line()), new Tuple(m.popMark()))],
  ['o', (m) => callMarked(m)],
  ['\x81', (m) => callPopped(m)],
  ['\x92', (m) => callWithKeywords(m)],
  ['\x80', (m) => m.protocol()],
  ['\x95', (m) => void m.uint64()],
  ['P', (m) => m.load(m.line())],
  ['Q', (m) => m.load(m.pop())],
];

const ACTIONS: readonly (Action | undefined)[] = Array.from(
  { length: 256 },
  (_, code) => OPCODES.find(([letter]) => letter.charCodeAt(0) === code)?.[1],
);

/** Protocols 0 and 1 write `True` as 01. */
function integerOrBool(machine: Machine): number | bigint | boolean {
  const line = machine.line();
  return line === '00' || line === '01' ? line === '01' : machine.digits(line);
}

function findPopped(machine: Machine): void {
  const [module, name] = machine.popMany(2);
  machine.push(machine.find(module, name));
}

function callPopped(machine: Machine): void {
  const [callee, args] = machine.popMany(2);
  machine.call(callee, args);
}

function callMarked(machine: Machine): void {
  const [callee, ...args] = machine.popMark();
  machine.call(callee, new Tuple(args));
}

function callWithKeywords(machine: Machine): void {
  const [callee, args, keywords] = machine.popMany(3);
  if (!(keywords instanceof Map) || keywords.size > 0) {
    throw machine.wrong('a call with names of arguments');
  }
  machine.call(callee, args);
}
