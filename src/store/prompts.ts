// Saved prompts: finds the longest beginning of a prompt that is stored, and stores what is not. The names of the files
// are the index (see names.ts), so there is no lock: several processes may read and write at once. Whatever is not
// whole, or not what its name says, is a miss and is removed. Knows nothing of tensors.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type KvRows, RowsCollector, sliceRows } from '../engine/kv-rows.js';
import { errorCode, errorMessage } from '../errors.js';
import type { Limits } from '../settings.js';
import { evict } from './eviction.js';
import { readWhole, removeFile, statFile, touch, writeWhole } from './files.js';
import { type Plan, planLookup } from './lookup.js';
import { BLOCK_IDS, idCount, type PartName, partNames } from './names.js';
import { decodePart, encodePart, type Part, type PartMeta } from './part.js';
import { recordUse } from './uses.js';

export interface PromptStoreOptions {
  /** The private folder; undefined: nothing is stored yet and nothing will be. */
  readonly folder: string | undefined;
  readonly write: boolean;
  readonly limits: Limits;
  readonly fingerprint: string;
  /** The model's name, for whoever lists what is stored. */
  readonly model: string;
  /** Told what was damaged, or could not be written. */
  readonly onNote: (line: string) => void;
}

export interface Found {
  /** Ids at the beginning whose keys and values are in `rows`. */
  readonly reused: number;
  readonly rows: KvRows;
  /** What follows the whole prompt, if that is stored. */
  readonly logits: Float32Array | null;
  /** What prefill took for these ids when they were stored. */
  readonly prefillMs: number;
  /** Why there is nothing to reuse, or null. */
  readonly missReason: string | null;
  /** Where the prompt parts from the nearest stored one; null: one of them ends there. */
  readonly firstDifference: { readonly index: number; readonly stored: number; readonly new: number } | null;
  /** The last file that was of use. */
  readonly last: string | null;
}

/** A prompt that was just computed. */
export interface Computed {
  readonly ids: readonly number[];
  readonly logits: Float32Array;
  readonly words: string;
  /** Positions from `from` to the end of the prompt. */
  readonly rowsFrom: (from: number) => KvRows;
  /** What prefill took for positions [from, to). */
  readonly prefillMs: (from: number, to: number) => number;
}

/** What is left of a file once its rows are with the others. */
interface Loaded {
  readonly name: PartName;
  readonly ids: readonly number[];
  readonly meta: PartMeta;
  readonly logits: Float32Array | null;
  /** How many of its ids are the prompt's. */
  readonly agreed: number;
}

export class PromptStore {
  readonly #options: PromptStoreOptions;
  /** Files are read one after the other into the same memory, which stays in the processor's cache. */
  #scratch = new Uint8Array();

  constructor(options: PromptStoreOptions) {
    this.#options = options;
  }

  /** Never fails: what cannot be read is a miss. */
  find(ids: readonly number[]): Found {
    const plan = planLookup(this.#list(), this.#options.fingerprint, ids);
    const planned = plan.parts.reduce((sum, { take }) => sum + take, 0);
    const room = plan.whole ? planned : Math.min(planned, ids.length - 1); // the last id is run to get its logits
    const rows = new RowsCollector(room);
    const loaded = this.#load(plan, ids, rows);
    const agreed = loaded.reduce((sum, { agreed }) => sum + agreed, 0);
    const damaged = loaded.length < plan.parts.length;
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
      missReason: reused > 0 ? null : missReason(plan, damaged, ids.length),
      firstDifference: damaged ? null : this.#firstDifference(plan, loaded, ids, agreed),
      last: reused > 0 ? (loaded.at(-1)?.name.hash ?? null) : null,
    };
  }

  /** Counts a use of what `find` gave. */
  used({ last }: Found, savedMs: number): void {
    const { folder, write } = this.#options;
    if (folder !== undefined && write && last !== null) {
      recordUse(folder, last, savedMs);
    }
  }

  /** Stores what is not stored yet, and makes room. Never fails: a prompt that cannot be kept costs the next run time. */
  keep(computed: Computed): void {
    const { folder, write, limits } = this.#options;
    if (folder === undefined || !write) {
      return;
    }
    try {
      this.#write(folder, computed);
      evict(folder, limits);
    } catch (error) {
      this.#options.onNote(`the prompt is not kept: ${folder}: ${errorCode(error) ?? errorMessage(error)}`);
    }
  }

  #list(): string[] {
    const { folder, onNote } = this.#options;
    try {
      return folder === undefined ? [] : readdirSync(folder);
    } catch (error) {
      onNote(`${folder}: cannot be read (${errorCode(error) ?? errorMessage(error)})`);
      return [];
    }
  }

  /** Reads files as long as they agree, and collects their rows. */
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

  /** A file that is whole and of this model, in `#scratch` until the next one; else undefined, and it is removed. */
  #read(name: PartName): Part | undefined {
    const { folder, write, fingerprint, onNote } = this.#options;
    const path = join(folder as string, name.file);
    const bytes = readWhole(path, undefined, (size) => this.#memory(size));
    if (bytes === undefined) {
      return undefined; // gone since it was listed
    }
    try {
      const part = decodePart(bytes);
      if (part.meta.fingerprint !== fingerprint || part.ids.length !== idCount(name)) {
        throw new Error('it is not what its name says');
      }
      if (write) {
        touch(path);
      }
      return part;
    } catch (error) {
      onNote(`${path}: ${errorMessage(error)}${write ? '; removed' : ''}`);
      if (write) {
        removeFile(path);
      }
      return undefined;
    }
  }

  #memory(size: number): Uint8Array<ArrayBuffer> {
    if (this.#scratch.length < size) {
      this.#scratch = new Uint8Array(size);
    }
    return this.#scratch.subarray(0, size);
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

  /** The blocks first: whoever finds an end finds what it builds on. */
  #write(folder: string, computed: Computed): void {
    const { fingerprint, limits } = this.#options;
    const missing = partNames(fingerprint, computed.ids).filter(
      ({ file }) => statFile(join(folder, file)) === undefined,
    );
    if (missing.length === 0) {
      return;
    }
    const from = (missing[0] as PartName).index * BLOCK_IDS;
    const rows = computed.rowsFrom(from);
    for (const name of missing) {
      const bytes = encodePart(this.#part(name, computed, rows, from));
      if (bytes.length * missing.length > limits.maxBytes) {
        throw new Error(`it takes more than KVGEN_CACHE_MAX_BYTES=${limits.maxBytes}`);
      }
      writeWhole(folder, name.file, bytes);
    }
  }

  /** @param rows positions of the prompt from `from` on */
  #part(name: PartName, computed: Computed, rows: KvRows, from: number): Part {
    const { fingerprint, model } = this.#options;
    const begin = name.index * BLOCK_IDS;
    const end = begin + idCount(name);
    const isEnd = name.kind === 'end';
    const [created, prefillMs] = [new Date().toISOString(), computed.prefillMs(begin, end)];
    return {
      ids: computed.ids.slice(begin, end),
      rows: sliceRows(rows, begin - from, end - from),
      logits: isEnd ? computed.logits : null,
      meta: { fingerprint, model, created, prefillMs, words: isEnd ? computed.words : '' },
    };
  }
}

/** How many ids at the beginning are the same. */
function agreedIds(stored: readonly number[], ids: readonly number[]): number {
  const differs = stored.findIndex((id, i) => id !== ids[i]);
  return differs < 0 ? stored.length : differs;
}

function missReason({ known }: Plan, damaged: boolean, length: number): string {
  if (damaged) {
    return 'the stored file is damaged or gone';
  }
  if (known === 'nothing') {
    return 'nothing is stored yet';
  }
  if (known === 'other models') {
    return 'nothing is stored for these weights, config and tokenizer';
  }
  return length === 1 ? 'a prompt of one token that is not stored' : 'no stored prompt begins like this one';
}
