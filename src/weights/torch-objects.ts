// The objects that a file of torch.save may have in its pickle: tensors, and the few names that they are made with. Each is
// a description, and calling one runs nothing of the file's. Any other name is refused, wherever it stands.
// Knows nothing of where storages lie. Reference: _rebuild_tensor and what follows it in torch/_utils.py of PyTorch.

import { KvgenError, shown } from '../errors.js';
import { valueCount } from './tensor-values.js';
import { type PickleNames, Tuple } from './unpickle.js';

/** Bytes of a value. The names are those of safetensors, as for all formats here. */
export const VALUE_BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  C64: 8,
  C128: 16,
};

const STORAGES: Readonly<Record<string, string>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
  ComplexFloatStorage: 'C64',
  ComplexDoubleStorage: 'C128',
};

const DTYPES: Readonly<Record<string, string>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
  complex64: 'C64',
  complex128: 'C128',
};

/** More axes than any tensor has. */
const MAX_AXES = 64;
/** A tensor may show one value many times; one so large shows that nobody made it. */
const MAX_REPEATED = 1 << 24;

/** Values that lie in one place of the file, under a key. */
export class TorchStorage {
  readonly key: string;
  readonly dtype: string;
  /** Of its values, in all. */
  readonly byteLength: number;
  /** What of it is shown, in bytes: all, or a view in a file before PyTorch 1.6. */
  readonly from: number;
  readonly end: number;

  constructor(key: string, dtype: string, byteLength: number, from = 0, end = byteLength) {
    this.key = key;
    this.dtype = dtype;
    this.byteLength = byteLength;
    this.from = from;
    this.end = end;
  }
}

/** Offset and strides are in values. */
export class TorchTensor {
  readonly storage: TorchStorage;
  readonly dtype: string;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor({ storage, dtype, offset, shape, strides }: Pick<TorchTensor, keyof TorchTensor>) {
    this.storage = storage;
    this.dtype = dtype;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** A name that means something, and does nothing. */
class Known {
  readonly name: string;
  /** undefined: it is no function or class that may be called. */
  readonly call: ((args: readonly unknown[]) => unknown) | undefined;
  /** Of a class of storages or of a dtype; undefined for a storage of bytes. */
  readonly dtype: string | undefined;
  readonly isStorage: boolean;

  constructor(name: string, parts: Partial<Pick<Known, 'call' | 'dtype' | 'isStorage'>> = {}) {
    this.name = name;
    this.call = parts.call;
    this.dtype = parts.dtype;
    this.isStorage = parts.isStorage ?? false;
  }
}

/** What a pickle of torch.save may refer to, and nothing else. */
export class TorchNames implements PickleNames {
  readonly #where: string;
  /** That the pickle refers to, by their keys. */
  readonly #storages = new Map<string, TorchStorage>();
  /** By module and name, with a space between them. */
  readonly #known: ReadonlyMap<string, Known>;

  /** @param where the file, for messages */
  constructor(where: string) {
    this.#where = where;
    const all = [...this.#functions(), ...storages(), ...dtypes()];
    this.#known = new Map(all.map((known) => [known.name, known]));
  }

  /** All storages that were asked for, each as a whole. */
  get storages(): ReadonlyMap<string, TorchStorage> {
    return this.#storages;
  }

  find(module: string, name: string): unknown {
    const known = this.#known.get(`${module} ${name}`);
    if (known === undefined) {
      const what = `${this.#where}: its pickle asks for ${shown(`${module}.${name}`)}, which no tensor needs`;
      throw new KvgenError(
        `${what}; it is refused, and nothing was run. Take the model's safetensors, or save its state_dict() alone`,
      );
    }
    return known;
  }

  call(callee: unknown, args: readonly unknown[]): unknown {
    if (!(callee instanceof Known) || callee.call === undefined) {
      throw this.#wrong(`a call of ${callee instanceof Known ? callee.name : 'what is no function'}`);
    }
    return callee.call(args);
  }

  /** `('storage', class, key, place, number of values)`, before PyTorch 1.6 with a view `(key, offset, number)` behind it. */
  load(id: unknown): TorchStorage {
    const [kind, type, key, , count, view = null] = id instanceof Tuple ? id.items : [];
    if (
      kind !== 'storage' ||
      !(type instanceof Known) ||
      !type.isStorage ||
      typeof key !== 'string' ||
      !isCount(count)
    ) {
      throw this.#wrong('an object elsewhere that is no storage');
    }
    const dtype = type.dtype ?? 'U8';
    const size = VALUE_BYTES[dtype] as number;
    const whole = this.#storage(new TorchStorage(key, dtype, size * count));
    if (view === null) {
      return whole;
    }
    const [, offset, shownCount] = view instanceof Tuple ? view.items : [];
    if (!isCount(offset) || !isCount(shownCount) || offset + shownCount > count) {
      throw this.#wrong(`storage ${shown(key)}: a view that is not in it`);
    }
    return new TorchStorage(key, dtype, size * count, size * offset, size * (offset + shownCount));
  }

  #storage(storage: TorchStorage): TorchStorage {
    const { key, dtype, byteLength } = storage;
    const before = this.#storages.get(key) ?? storage;
    if (before.dtype !== dtype || before.byteLength !== byteLength) {
      throw this.#wrong(`storage ${shown(key)}: of two sizes or dtypes`);
    }
    this.#storages.set(key, before);
    return before;
  }

  #functions(): Known[] {
    const rebuild = (args: readonly unknown[]) => this.#tensor(args);
    const first = ([tensor]: readonly unknown[]) => this.#expectTensor(tensor);
    return [
      new Known('collections OrderedDict', { call: ([pairs]) => this.#dict(pairs) }),
      new Known('torch Size', { call: ([sizes]) => (sizes instanceof Tuple ? sizes : new Tuple(asArray(sizes))) }),
      new Known('torch device', { call: () => null }),
      new Known('torch Tensor'),
      new Known('torch.nn.parameter Parameter'),
      new Known('torch.serialization _get_layout', { call: () => null }),
      new Known('torch._utils _rebuild_tensor', { call: rebuild }),
      new Known('torch._utils _rebuild_tensor_v2', { call: ([s, o, n, t, , , m]) => this.#tensor([s, o, n, t], m) }),
      new Known('torch._utils _rebuild_tensor_v3', {
        call: ([s, o, n, t, , , d, m]) => this.#tensor([s, o, n, t, d], m),
      }),
      new Known('torch._utils _rebuild_parameter', { call: first }),
      new Known('torch._utils _rebuild_parameter_with_state', { call: first }),
      new Known('torch._tensor _rebuild_from_type_v2', { call: (args) => this.#typed(args) }),
    ];
  }

  #dict(pairs: unknown): Map<unknown, unknown> {
    const items = asArray(pairs).map((pair) => (pair instanceof Tuple ? pair.items : asArray(pair)));
    if (!items.every((item) => item.length === 2)) {
      throw this.#wrong('an OrderedDict that is not made of pairs');
    }
    return new Map(items as [unknown, unknown][]);
  }

  /** A tensor with attributes, or of a class of its own: `(function, class, arguments, attributes)`. */
  #typed([callee, type, args]: readonly unknown[]): TorchTensor {
    const isPlain = type instanceof Known && ['torch Tensor', 'torch.nn.parameter Parameter'].includes(type.name);
    if (!isPlain || !(args instanceof Tuple)) {
      throw this.#wrong('a tensor of a class of its own');
    }
    return this.#expectTensor(this.call(callee, args.items));
  }

  #expectTensor(value: unknown): TorchTensor {
    if (!(value instanceof TorchTensor)) {
      throw this.#wrong('a parameter that is no tensor');
    }
    return value;
  }

  /** @param args storage, offset, shape, strides, and a dtype where it is not the storage's */
  #tensor([storage, offset, sizes, steps, type]: readonly unknown[], metadata?: unknown): TorchTensor {
    const shape = sizes instanceof Tuple ? sizes.items : undefined;
    const strides = steps instanceof Tuple ? steps.items : undefined;
    const dtype = type instanceof Known ? type.dtype : storage instanceof TorchStorage ? storage.dtype : undefined;
    const isWhole = storage instanceof TorchStorage && isCount(offset) && dtype !== undefined;
    if (!isWhole || !isCounts(shape) || !isCounts(strides) || shape.length !== strides.length) {
      throw this.#wrong('a tensor without storage, offset, shape and strides');
    }
    if (metadata instanceof Map && metadata.size > 0) {
      throw this.#wrong('a tensor that is stored conjugated or negated');
    }
    const tensor = new TorchTensor({ storage, dtype, offset, shape, strides });
    this.#checkRange(tensor);
    return tensor;
  }

  #checkRange({ storage, dtype, offset, shape, strides }: TorchTensor): void {
    const count = valueCount(shape);
    const held = Math.floor((storage.end - storage.from) / (VALUE_BYTES[dtype] as number));
    const last = shape.reduce((at, n, axis) => at + (n - 1) * (strides[axis] as number), offset);
    if (count > 0 && (last >= held || (count > held && count > MAX_REPEATED))) {
      const found = `one of [${shape.join(', ')}] from ${offset} on`;
      throw this.#wrong(`storage ${shown(storage.key)} of ${held} values does not hold ${found}`);
    }
  }

  #wrong(what: string): KvgenError {
    return new KvgenError(`${this.#where}: its pickle holds ${what}; download it again, or take safetensors`);
  }
}

function storages(): Known[] {
  const typed = Object.entries(STORAGES).flatMap(([name, dtype]) =>
    ['torch', 'torch.cuda'].map((module) => new Known(`${module} ${name}`, { dtype, isStorage: true })),
  );
  return [...typed, new Known('torch.storage UntypedStorage', { isStorage: true })];
}

function dtypes(): Known[] {
  return Object.entries(DTYPES).map(([name, dtype]) => new Known(`torch ${name}`, { dtype }));
}

function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isCounts(value: readonly unknown[] | undefined): value is readonly number[] {
  return value !== undefined && value.length <= MAX_AXES && value.every(isCount);
}
