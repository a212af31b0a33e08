// `kvgen cache`: lists, shows and removes what is saved on disk. Loads no TensorFlow.

import { basename } from 'node:path';
import { EXIT, KvgenError, megabytes, UsageError } from '../../errors.js';
import { keySource, readLimits } from '../../settings.js';
import { bytesIn, clear, evict, type Removed } from '../../store/eviction.js';
import { Ledger, readLedgers } from '../../store/ledger.js';
import { countUnlisted, listAnswers, listPrompts, removeEntry, type StoredEntry } from '../../store/list.js';
import { openStore, type StoreKind, sealedFolder, storeRoot } from '../../store/location.js';
import type { StoreFolder } from '../../store/store-folder.js';
import { cacheKey } from '../shell/cache-key.js';
import type { Invocation } from '../shell/command.js';
import { CACHE, CACHE_ACTIONS } from '../shell/command-settings.js';
import type { Terminal } from '../shell/terminal.js';

const KINDS: readonly StoreKind[] = ['prompts', 'answers'];
const KEYS = 'KVGEN_CACHE_KEY_FILE or KVGEN_CACHE_KEY_COMMAND';

/**
 * The actions, how few and how many words may follow each, and whether it reads what is sealed; null: it is about what is not
 * saved yet.
 */
const ACTIONS = {
  ls: { run: list, words: [0, 0], reads: true },
  show: { run: show, words: [1, 1], reads: true },
  rm: { run: remove, words: [1, Number.POSITIVE_INFINITY], reads: true },
  clear: { run: clearAll, words: [0, 0], reads: false },
  prune: { run: prune, words: [0, 0], reads: true },
  path: { run: path, words: [0, 0], reads: false },
  stats: { run: stats, words: [0, 0], reads: true },
  plan: { run: null, words: [1, 1], reads: false },
} as const satisfies Record<(typeof CACHE_ACTIONS)[number], unknown>;

interface CacheRequest {
  readonly ids: readonly string[];
  readonly root: string;
  readonly views: readonly View[];
  readonly json: boolean;
  readonly terminal: Terminal;
}

/** One folder as it is seen without a key, or with one. */
interface View {
  readonly kind: StoreKind;
  readonly folder: StoreFolder;
}

/** An entry, and where it was found. */
interface Listed {
  readonly entry: StoredEntry;
  readonly folder: StoreFolder;
}

export async function cacheCommand(invocation: Invocation): Promise<number> {
  const { words, settings, terminal, signal } = invocation;
  const { json, cacheDir, color } = settings(CACHE);
  const [word, ...ids] = words;
  const name = CACHE_ACTIONS.find((one) => one === word);
  if (name === undefined) {
    throw new UsageError(`cache: expected one of ${CACHE_ACTIONS.join(', ')}, got ${word ?? 'nothing'}`);
  }
  const action = ACTIONS[name];
  const [min, max] = action.words;
  if (ids.length < min || ids.length > max) {
    const expected = name === 'plan' ? 'a file of rows, or -' : 'an id as `kvgen cache ls` shows it';
    throw new UsageError(`cache ${word}: expected ${max === 0 ? 'nothing more' : expected}`);
  }
  readLimits(process.env);
  keySource(process.env);
  if (action.run === null) {
    const { planCommand } = await import('./plan.js');
    return planCommand(invocation, ids[0] as string);
  }
  await terminal.configure({ color, quiet: false, verbose: false });
  const root = await storeRoot(cacheDir);
  const key = action.reads ? await cacheKey(process.env, signal) : undefined;
  const views = KINDS.flatMap((kind): View[] => {
    const folder = openStore(root, kind, false, (line) => terminal.note(line));
    const folders =
      folder === undefined ? [] : [folder, ...(key === undefined ? [] : [sealedFolder(folder, kind, key)])];
    return folders.map((one) => ({ kind, folder: one }));
  });
  await action.run({ ids, root, views, json, terminal });
  return EXIT.ok;
}

function entriesOf({ kind, folder }: View): StoredEntry[] {
  return kind === 'prompts' ? listPrompts(folder) : listAnswers(folder);
}

function listed({ views }: CacheRequest): Listed[] {
  return views.flatMap((view) => entriesOf(view).map((entry) => ({ entry, folder: view.folder })));
}

/** One view of each folder, the one that sees most. */
function widest({ views }: CacheRequest): StoreFolder[] {
  return KINDS.flatMap((kind) => views.findLast((view) => view.kind === kind)?.folder ?? []);
}

/** Files that no key at hand opens. */
function countSealed(request: CacheRequest): number {
  return widest(request).reduce(
    (sum, folder) => sum + folder.files().filter(({ name }) => name === undefined).length,
    0,
  );
}

async function list(request: CacheRequest): Promise<void> {
  const { terminal, json, root, views } = request;
  const all = views.map((view) => ({ ...view, entries: entriesOf(view) }));
  const found = all.flatMap(({ entries }) => entries);
  const bytes = savedBytes(request);
  const sealed = countSealed(request);
  const others = all.reduce((sum, { folder, entries }) => sum + countUnlisted(folder, entries), 0);
  if (json) {
    const counts = { bytes, sealed_files: sealed, unlisted_files: others };
    await terminal.printJson({ path: root, ...counts, entries: found.map(entryJson) });
    return;
  }
  if (found.length > 0) {
    const head = ['ID', 'KIND', 'WHEN', 'MODEL', 'TOKENS', 'DTYPE', 'BYTES', 'HITS', 'SAVED', 'FIRST WORDS'];
    await terminal.printTable([head, ...found.map(row)]);
  }
  if (sealed > 0) {
    terminal.note(sealedWords(sealed));
  }
  if (others > 0) {
    const how = 'of another version of kvgen, or damaged, not listed; age removes them, or `kvgen cache clear`';
    terminal.note(`${countOf(others)} ${how}`);
  }
  if (found.length + sealed + others > 0) {
    terminal.log(`${megabytes(bytes)} in ${root}`);
  } else {
    terminal.note(`nothing is saved in ${root}`);
  }
}

function row(entry: StoredEntry): string[] {
  const { id, kind, created, model, tokens, dtype, isSealed, bytes, hits, savedMs, words } = entry;
  const saved = hits === 0 ? '' : `${(savedMs / 1000).toFixed(1)} s`;
  return [
    id,
    isSealed ? `${kind}, sealed` : kind,
    when(created),
    model,
    String(tokens),
    dtype ?? '',
    megabytes(bytes),
    String(hits),
    saved,
    words || noWords(entry),
  ];
}

/** For an entry without words: a beginning whose prompts are all gone, or a prompt of ids without a tokenizer. */
function noWords({ files }: StoredEntry): string {
  return files.at(-1)?.startsWith('block') ? '(a beginning)' : '(ids)';
}

async function show(request: CacheRequest): Promise<void> {
  const { entry, folder } = pick(request, listed(request), request.ids[0] as string);
  const { terminal, json } = request;
  const files = entry.files.map((name) => folder.pathOf(name));
  if (json) {
    await terminal.printJson({ ...entryJson(entry), files: files.map((file) => basename(file)) });
    return;
  }
  for (const [name, value] of Object.entries(entryJson(entry))) {
    await terminal.print(`${name.replaceAll('_', ' ')}: ${value}`);
  }
  for (const file of files) {
    await terminal.print(`file: ${file}`);
  }
}

async function remove(request: CacheRequest): Promise<void> {
  const all = listed(request);
  const chosen = request.ids.map((id) => pick(request, all, id));
  const removed = chosen.map(({ entry, folder }) => removeEntry(folder, entry));
  await say(request, removed);
}

async function clearAll(request: CacheRequest): Promise<void> {
  await say(request, widest(request).map(clear));
}

async function prune(request: CacheRequest): Promise<void> {
  const limits = readLimits(process.env);
  await say(
    request,
    widest(request).map((folder) => {
      const evicted = evict(folder, limits);
      const ledger = new Ledger(folder);
      ledger.add({ evicted: evicted.tokens, evictedBytes: evicted.bytes });
      ledger.flush();
      return evicted;
    }),
  );
}

async function stats(request: CacheRequest): Promise<void> {
  const { views, terminal, json, root } = request;
  const kinds = KINDS.map((kind) => {
    const folders = views.filter((view) => view.kind === kind).map(({ folder }) => folder);
    return { kind, days: readLedgers(folders) };
  });
  const { statsJson, statsTable, reasonsTable } = await import('./stats.js');
  if (json) {
    await terminal.printJson(statsJson(root, savedBytes(request), kinds));
  } else if (kinds.every(({ days }) => days.length === 0)) {
    terminal.note(`nothing is counted in ${root}`);
  } else {
    await terminal.printTable(statsTable(kinds));
    const reasons = reasonsTable(kinds);
    if (reasons.length > 1) {
      await terminal.print('');
      await terminal.printTable(reasons);
    }
  }
}

/** The size of all that is saved. */
function savedBytes(request: CacheRequest): number {
  return widest(request).reduce((sum, folder) => sum + bytesIn(folder), 0);
}

async function path({ terminal, root, json }: CacheRequest): Promise<void> {
  await (json ? terminal.printJson({ path: root }) : terminal.print(root));
}

async function say({ terminal, json }: CacheRequest, removed: readonly Removed[]): Promise<void> {
  const files = removed.reduce((sum, one) => sum + one.files, 0);
  const bytes = removed.reduce((sum, one) => sum + one.bytes, 0);
  const words = `removed ${files} file${files === 1 ? '' : 's'}, ${bytes} bytes`;
  await (json ? terminal.printJson({ removed_files: files, removed_bytes: bytes }) : terminal.print(words));
}

/** The entry whose id begins with `id`. @throws KvgenError for none or several */
function pick(request: CacheRequest, all: readonly Listed[], id: string): Listed {
  const [found, another] = all.filter(({ entry }) => id !== '' && entry.id.startsWith(id));
  if (found !== undefined && another === undefined) {
    return found;
  }
  const sealed = found === undefined ? countSealed(request) : 0;
  const hint = sealed === 0 ? '' : ` (${sealedWords(sealed)})`;
  throw new KvgenError(
    `cache: ${id}: ${found === undefined ? 'no such entry' : 'several entries'}${hint}; \`kvgen cache ls\` lists them`,
  );
}

function sealedWords(files: number): string {
  const how = keySource(process.env) === undefined ? `sealed: ${KEYS} names the key` : 'sealed with another key';
  return `${countOf(files)} ${how}`;
}

function countOf(files: number): string {
  return files === 1 ? 'one file is' : `${files} files are`;
}

function entryJson(entry: StoredEntry) {
  const { id, kind, model, created, tokens, words, bytes, hits } = entry;
  const times = { created, last_used: entry.lastUsed };
  const sizes = { tokens, dtype: entry.dtype, words, bytes, shared_bytes: entry.sharedBytes };
  return {
    id,
    kind,
    sealed: entry.isSealed,
    model,
    ...times,
    ...sizes,
    hits,
    saved_ms: Math.round(entry.savedMs * 10) / 10,
  };
}

/** Date and time, to the minute. */
function when(iso: string): string {
  return iso.slice(0, 16).replace('T', ' ');
}
