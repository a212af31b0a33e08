// `kvgen cache`: lists, shows and removes what is saved on disk. Loads no TensorFlow.

import { EXIT, KvgenError, megabytes, UsageError } from '../errors.js';
import { readLimits } from '../settings.js';
import { bytesIn, clear, evict, type Removed } from '../store/eviction.js';
import { Ledger, readLedger } from '../store/ledger.js';
import { listAnswers, listPrompts, removeEntry, type StoredEntry } from '../store/list.js';
import { openStore, type StoreKind, storeRoot } from '../store/location.js';
import type { StoreFolder } from '../store/store-folder.js';
import type { Invocation } from './shell/command.js';
import { CACHE, CACHE_ACTIONS } from './shell/command-settings.js';
import { printable, type Terminal } from './shell/terminal.js';

const KINDS: readonly StoreKind[] = ['prompts', 'answers'];

/** The actions, and how few and how many words may follow each. */
const ACTIONS = {
  ls: { run: list, words: [0, 0] },
  show: { run: show, words: [1, 1] },
  rm: { run: remove, words: [1, Number.POSITIVE_INFINITY] },
  clear: { run: clearAll, words: [0, 0] },
  prune: { run: prune, words: [0, 0] },
  path: { run: path, words: [0, 0] },
  stats: { run: stats, words: [0, 0] },
} as const satisfies Record<(typeof CACHE_ACTIONS)[number], unknown>;

interface CacheRequest {
  readonly ids: readonly string[];
  readonly root: string;
  readonly folders: Readonly<Partial<Record<StoreKind, StoreFolder>>>;
  readonly json: boolean;
  readonly terminal: Terminal;
}

export async function cacheCommand({ words, settings, terminal }: Invocation): Promise<number> {
  const { json, cacheDir, color } = settings(CACHE);
  const [word, ...ids] = words;
  const name = CACHE_ACTIONS.find((one) => one === word);
  if (name === undefined) {
    throw new UsageError(`cache: expected one of ${CACHE_ACTIONS.join(', ')}, got ${word ?? 'nothing'}`);
  }
  const action = ACTIONS[name];
  const [min, max] = action.words;
  if (ids.length < min || ids.length > max) {
    throw new UsageError(
      `cache ${word}: expected ${max === 0 ? 'nothing more' : 'an id as `kvgen cache ls` shows it'}`,
    );
  }
  readLimits(process.env);
  await terminal.configure({ color, quiet: false, verbose: false });
  const root = await storeRoot(cacheDir);
  const folders = Object.fromEntries(
    KINDS.map((kind) => [kind, openStore(root, kind, false, (line) => terminal.note(line))]),
  );
  await action.run({ ids, root, folders, json, terminal });
  return EXIT.ok;
}

function entries({ folders }: CacheRequest): StoredEntry[] {
  return [
    ...(folders.prompts === undefined ? [] : listPrompts(folders.prompts)),
    ...(folders.answers === undefined ? [] : listAnswers(folders.answers)),
  ];
}

async function list(request: CacheRequest): Promise<void> {
  const { terminal, json, root } = request;
  const found = entries(request);
  const bytes = savedBytes(request);
  if (json) {
    await terminal.print(JSON.stringify({ path: root, bytes, entries: found.map(entryJson) }));
  } else if (found.length === 0) {
    terminal.note(`nothing is saved in ${root}`);
  } else {
    const head = ['ID', 'KIND', 'WHEN', 'MODEL', 'TOKENS', 'BYTES', 'HITS', 'SAVED', 'FIRST WORDS'];
    await terminal.printTable([head, ...found.map(row)]);
    terminal.log(`${megabytes(bytes)} in ${root}`);
  }
}

function row(entry: StoredEntry): string[] {
  const { id, kind, created, model, tokens, bytes, hits, savedMs, words } = entry;
  const saved = hits === 0 ? '' : `${(savedMs / 1000).toFixed(1)} s`;
  return [
    id,
    kind,
    when(created),
    model,
    String(tokens),
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
  const entry = pick(entries(request), request.ids[0] as string);
  const { terminal, json } = request;
  if (json) {
    await terminal.print(JSON.stringify({ ...entryJson(entry), files: entry.files }));
    return;
  }
  for (const [name, value] of Object.entries(entryJson(entry))) {
    await terminal.print(printable(`${name.replaceAll('_', ' ')}: ${value}`));
  }
  for (const file of entry.files) {
    await terminal.print(`file: ${folderOf(request, entry).pathOf(file)}`);
  }
}

async function remove(request: CacheRequest): Promise<void> {
  const all = entries(request);
  const chosen = request.ids.map((id) => pick(all, id));
  const removed = chosen.map((entry) => removeEntry(folderOf(request, entry), entry));
  await say(request, removed);
}

function folderOf({ folders }: CacheRequest, { kind }: StoredEntry): StoreFolder {
  return folders[kind === 'answer' ? 'answers' : 'prompts'] as StoreFolder;
}

async function clearAll(request: CacheRequest): Promise<void> {
  await say(request, allFolders(request).map(clear));
}

async function prune(request: CacheRequest): Promise<void> {
  const limits = readLimits(process.env);
  await say(
    request,
    allFolders(request).map((folder) => {
      const evicted = evict(folder, limits);
      const ledger = new Ledger(folder);
      ledger.add({ evicted: evicted.tokens, evictedBytes: evicted.bytes });
      ledger.flush();
      return evicted;
    }),
  );
}

async function stats(request: CacheRequest): Promise<void> {
  const { folders, terminal, json, root } = request;
  const kinds = KINDS.map((kind) => ({ kind, days: folders[kind] === undefined ? [] : readLedger(folders[kind]) }));
  const { statsJson, statsTable, reasonsTable } = await import('./cache/stats.js');
  if (json) {
    await terminal.print(JSON.stringify(statsJson(root, savedBytes(request), kinds)));
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
  return allFolders(request).reduce((sum, folder) => sum + bytesIn(folder), 0);
}

async function path({ terminal, root, json }: CacheRequest): Promise<void> {
  await terminal.print(json ? JSON.stringify({ path: root }) : root);
}

async function say({ terminal, json }: CacheRequest, removed: readonly Removed[]): Promise<void> {
  const files = removed.reduce((sum, one) => sum + one.files, 0);
  const bytes = removed.reduce((sum, one) => sum + one.bytes, 0);
  const words = `removed ${files} file${files === 1 ? '' : 's'}, ${bytes} bytes`;
  await terminal.print(json ? JSON.stringify({ removed_files: files, removed_bytes: bytes }) : words);
}

function allFolders({ folders }: CacheRequest): StoreFolder[] {
  return KINDS.flatMap((kind) => folders[kind] ?? []);
}

/** The entry whose id begins with `id`. @throws KvgenError for none or several */
function pick(all: readonly StoredEntry[], id: string): StoredEntry {
  const [found, another] = all.filter((entry) => id !== '' && entry.id.startsWith(id));
  if (found === undefined || another !== undefined) {
    throw new KvgenError(
      `cache: ${id}: ${found === undefined ? 'no such entry' : 'several entries'}; \`kvgen cache ls\` lists them`,
    );
  }
  return found;
}

function entryJson(entry: StoredEntry) {
  const { id, kind, model, created, tokens, words, bytes, hits } = entry;
  const times = { created, last_used: entry.lastUsed };
  const sizes = { tokens, words, bytes, shared_bytes: entry.sharedBytes };
  return { id, kind, model, ...times, ...sizes, hits, saved_ms: Math.round(entry.savedMs * 10) / 10 };
}

/** Date and time, to the minute. */
function when(iso: string): string {
  return iso.slice(0, 16).replace('T', ' ');
}
