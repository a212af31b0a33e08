// Saved prompts: finds the longest stored beginning of a prompt, and stores the rest of it. The names of the files are the
// only index (see names.ts), so several processes may read and write at the same time without a lock. A file that is
// damaged, or is not what its name says, counts as a miss and is removed. Knows nothing of tensors.

import { type KvRows, RowsCollector, type RowsDtype, sliceRows } from '../engine/kv-rows.js';
import { errorCode, errorMessage } from '../errors.js';
import { makeRoom } from './eviction.js';
import type { StoreOptions } from './location.js';
import { type Plan, type PlannedPart, planLookup, savedFiles } from './lookup.js';
import { BLOCK_IDS, idCount, type PartName, type PromptsOf, partNames } from './names.js';
import { decodePart, encodePart, maxPartBytes, type Part, type PartShape } from './part.js';
import type { StoreFolder } from './store-folder.js';
import { recordUse } from './uses.js';

export interface PromptStoreOptions extends StoreOptions, PromptsOf {
  /** Of the model that asks: files of other sizes are refused. */
  readonly shape: PartShape;
  /** The model's name, for `kvgen cache`. */
  readonly model: string;
}

export interface Found {
  /** How many ids at the beginning have their keys and values in `rows`. */
  readonly reused: number;
  readonly rows: KvRows;
  /** The logits that follow the whole prompt, if they are stored. */
  readonly logits: Float32Array | null;
  /** How long prefill took for these ids when they were stored, in milliseconds. */
  readonly prefillMs: number;
  /** Why there is nothing to reuse; null if there is something. */
  readonly missReason: string | null;
  /** The first id that differs from the nearest stored prompt; null if one of the two ends there, or a file is damaged. */
  readonly firstDifference: { readonly index: number; readonly stored: number; readonly new: number } | null;
  /** The hash of the last file that was used. */
  readonly last: string | null;
}

/** How many tokens of a prompt need not be run, since they are stored. */
export type KnownLength = (ids: readonly number[]) => number;

/** A prompt that was just computed, or a text: a prompt with what was generated behind it. */
export interface Computed {
  readonly ids: readonly number[];
  /** Those that follow a prompt; null: it is a text, whose last id a later prompt runs again. */
  readonly logits: Float32Array | null;
  /** The prompt's first words. */
  readonly words: string;
  /** Keys and values of the positions from `from` to the end. */
  readonly rowsFrom: (from: number) => KvRows;
  /** How long prefill took for positions [from, to), in milliseconds. */
  readonly prefillMs: (from: number, to: number) => number;
}

/** What is still needed of a file when its keys and values have been copied. */
interface Loaded extends Omit<Part, 'rows' | 'place'> {
  readonly name: PartName;
  /** How many of its ids are those of the prompt. */
  readonly agreed: number;
}

export class PromptStore {
  readonly #options: PromptStoreOptions;
  /** All files are read into the same memory, one after the other, so that it stays in the processor's cache. */
  #scratch = new Uint8Array();
  /** When `find` was called last, in milliseconds since 1970. */
  #foundAt = 0;

  constructor(options: PromptStoreOptions) {
    this.#options = options;
  }

  /** How keys and values are stored. */
  get dtype(): RowsDtype {
    return this.#options.dtype;
  }

  /** Never fails: a file that cannot be read is a miss. */
  find(ids: readonly number[]): Found {
    this.#foundAt = Date.now();
    const plan = planLookup(savedFiles(this.#list()), this.#options, ids);
    const planned = plan.parts.reduce((sum, { take }) => sum + take, 0);
    const room = plan.whole ? planned : Math.min(planned, ids.length - 1); // the last id must be run for its logits
    const rows = new RowsCollector(room);
    const loaded = this.#load(plan, ids, rows);
    const agreed = loaded.reduce((sum, { agreed }) => sum + agreed, 0);
    const damaged = loaded.length < plan.parts.length || this.#isObstructed(plan);
    const logits = plan.whole && agreed === ids.length && !damaged ? (loaded.at(-1)?.logits ?? null) : null;
    const reused = logits === null ? Math.min(agreed, ids.length - 1) : agreed;
    return {
      reused,
      rows: rows.finish(reused),
      logits,
      prefillMs: loaded.reduce(
        (sum, { meta, ids, agreed }) => sum + (meta.prefillMs * agreed) / Math.max(1, ids.length),
        0,
      ),
      missReason: reused > 0 ? null : this.#missReason(plan, damaged, ids.length),
      firstDifference: damaged ? null : this.#firstDifference(plan, loaded, ids, agreed),
      last: reused > 0 ? (loaded.at(-1)?.name.hash ?? null) : null,
    };
  }

  /** How many tokens `find` would reuse now, for many prompts: reads what that needs, and neither counts nor changes anything. */
  knownLength(): KnownLength {
    const files = savedFiles(this.#list());
    return (ids) => {
      const { parts, nearest, whole } = planLookup(files, this.#options, ids);
      const agreed = parts.map((part) => (part.name === nearest ? this.#agreedIds(part, ids) : part.take));
      const known = agreed.reduce((sum, n) => sum + n, 0);
      return whole ? known : Math.min(known, ids.length - 1);
    };
  }

  /** Names hold only the low bytes of ids. */
  #agreedIds({ name, take }: PlannedPart, ids: readonly number[]): number {
    const from = name.index * BLOCK_IDS;
    return agreedIds(this.#read(name)?.ids ?? [], ids.slice(from, from + take));
  }

  /** Counts one use of what `find` returned for so many ids. */
  used({ last, reused }: Found, idCount: number, savedMs: number): void {
    const { folder, write, ledger } = this.#options;
    if (folder !== undefined && write && last !== null) {
      recordUse(folder, last, savedMs);
    }
    const isWhole = reused === idCount;
    ledger?.add({ [isWhole ? 'hits' : 'partial']: 1, read: reused, computed: idCount - reused, savedMs });
  }

  /** Counts that `find` returned nothing for so many ids. */
  missed({ missReason }: Found, idCount: number): void {
    const reasons = missReason === null ? {} : { [missReason]: 1 };
    this.#options.ledger?.add({ misses: 1, computed: idCount, reasons });
  }

  /**
   * Stores what is not stored yet. Never fails: what cannot be kept only costs the next run time.
   * @returns how many tokens were written
   */
  keep(computed: Computed): number {
    const { folder, write, limits, ledger } = this.#options;
    if (folder === undefined || !write) {
      return 0;
    }
    try {
      const written = this.#write(folder, computed);
      const evicted = makeRoom(folder, limits, written.bytes);
      ledger?.add({ written: written.tokens, evicted: evicted.tokens, evictedBytes: evicted.bytes });
      return written.tokens;
    } catch (error) {
      const what = computed.logits === null ? 'text' : 'prompt';
      this.#options.onNote(`the ${what} is not kept: ${folder.path}: ${errorCode(error) ?? errorMessage(error)}`);
      return 0;
    }
  }

  #list(): string[] {
    const { folder, onNote } = this.#options;
    try {
      return folder?.names() ?? [];
    } catch (error) {
      onNote(`${folder?.path}: cannot be read (${errorCode(error) ?? errorMessage(error)})`);
      return [];
    }
  }

  /** Does something that is no file stand where the first missing one would? */
  #isObstructed({ missing }: Plan): boolean {
    const { folder, onNote } = this.#options;
    return missing !== undefined && folder?.sayObstacle(missing.file, onNote) === true;
  }

  /** Reads files for as long as they agree with the prompt, and collects their keys and values. */
  #load(plan: Plan, ids: readonly number[], rows: RowsCollector): Loaded[] {
    const loaded: Loaded[] = [];
    for (const { name, take } of plan.parts) {
      const part = this.#read(name);
      if (part === undefined) {
        break;
      }
      const from = name.index * BLOCK_IDS;
      const agreed = agreedIds(part.ids, ids.slice(from, from + take));
      rows.add(part.rows, agreed);
      loaded.push({ name, ids: part.ids, meta: part.meta, logits: part.logits?.slice() ?? null, agreed });
      if (agreed < part.ids.length) {
        break;
      }
    }
    return loaded;
  }

  /** A file of this model, held in `#scratch` until the next is read. One that is not what it should be is removed and gives undefined. */
  #read(name: PartName): Part | undefined {
    const { write, fingerprint, dtype, shape, onNote } = this.#options;
    const folder = this.#options.folder as StoreFolder;
    const expected = { name, fingerprint, dtype, shape };
    try {
      const bytes = folder.read(name.file, maxPartBytes(expected), (size) => this.#memory(size));
      if (bytes === undefined) {
        return undefined; // It has been removed since the folder was listed.
      }
      const part = decodePart(bytes, expected);
      if (write) {
        this.#touch(folder, [name], this.#foundAt);
      }
      return part;
    } catch (error) {
      onNote(`${folder.shortPathOf(name.file)}: ${errorMessage(error)}${write ? '; removed' : ''}`);
      if (write) {
        folder.remove(name.file);
      }
      return undefined;
    }
  }

  /**
   * Marks parts as used, each a millisecond earlier than the one before it: so the times alone tell in which order they may
   * go, also to a process that has no key to their names.
   */
  #touch(folder: StoreFolder, names: readonly PartName[], at: number): void {
    for (const { file, index } of names) {
      folder.touch(file, at - index);
    }
  }

  #memory(size: number): Uint8Array<ArrayBuffer> {
    if (this.#scratch.length < size) {
      this.#scratch = new Uint8Array(size);
    }
    return this.#scratch.subarray(0, size);
  }

  #missReason({ known }: Plan, damaged: boolean, length: number): string {
    if (damaged) {
      return 'the stored file is damaged or gone';
    }
    if (known === 'nothing') {
      return 'nothing is stored yet';
    }
    if (known === 'others') {
      return `nothing is stored for these weights, config and tokenizer in ${this.#options.dtype}`;
    }
    return length === 1 ? 'a prompt of one token that is not stored' : 'no stored prompt begins like this one';
  }

  #firstDifference(
    plan: Plan,
    loaded: readonly Loaded[],
    ids: readonly number[],
    index: number,
  ): Found['firstDifference'] {
    const { nearest } = plan;
    if (nearest === undefined || index >= ids.length) {
      return null;
    }
    const { ids: known } = loaded.find(({ name }) => name === nearest) ?? this.#read(nearest) ?? { ids: [] };
    const stored = known[index - nearest.index * BLOCK_IDS];
    return stored === undefined ? null : { index, stored, new: ids[index] as number };
  }

  /**
   * Writes the blocks first, so that a reader who finds an end also finds what it builds on.
   * @returns how many tokens and bytes were written
   */
  #write(folder: StoreFolder, computed: Computed): { tokens: number; bytes: number } {
    const { limits } = this.#options;
    const names = partNames(this.#options, computed.ids, computed.logits === null ? 'text' : 'end');
    const missing = names.filter(({ file }) => folder.stat(file) === undefined);
    const written = { tokens: 0, bytes: 0 };
    if (missing.length === 0) {
      return written;
    }
    const from = (missing[0] as PartName).index * BLOCK_IDS;
    const rows = computed.rowsFrom(from);
    for (const name of missing) {
      const bytes = encodePart(this.#part(name, computed, rows, from), this.#options.shape);
      if (bytes.length * missing.length > limits.maxBytes) {
        throw new Error(`it takes more than KVGEN_CACHE_MAX_BYTES=${limits.maxBytes}`);
      }
      folder.write(name.file, bytes);
      written.tokens += idCount(name);
      written.bytes += bytes.length;
    }
    this.#touch(folder, names, Date.now());
    return written;
  }

  /** @param rows keys and values of the prompt from position `from` on */
  #part(name: PartName, computed: Computed, rows: KvRows, from: number): Part {
    const { fingerprint, dtype, model } = this.#options;
    const begin = name.index * BLOCK_IDS;
    const end = begin + idCount(name);
    const created = new Date().toISOString();
    const prefillMs = computed.prefillMs(begin, end);
    return {
      place: name,
      ids: computed.ids.slice(begin, end),
      rows: sliceRows(rows, begin - from, end - from),
      logits: name.kind === 'end' ? computed.logits : null,
      meta: { fingerprint, dtype, model, created, prefillMs, words: name.kind === 'block' ? '' : computed.words },
    };
  }
}

/** How many ids at the beginning are equal. */
function agreedIds(stored: readonly number[], ids: readonly number[]): number {
  const differs = stored.findIndex((id, i) => id !== ids[i]);
  return differs < 0 ? stored.length : differs;
}
