// Where --server meets options of what is computed here: two options cannot go together; what the environment says gives way to
// an option. Knows nothing of servers.

import { UsageError } from '../../errors.js';
import { optionsOf, type Table } from '../../settings.js';

/** Settings of what is computed here. */
const HERE = [
  'cache',
  'promptCache',
  'keep',
  'answerCache',
  'cacheDir',
  'writeCache',
  'cacheDtype',
  'verifyCache',
  'backend',
  'engine',
  'threads',
  'weights',
  'draft',
  'draftModel',
  'ctxSize',
  'reorder',
];
/** Where a text is scored in windows, how long they are is decided here, whoever computes them. */
const isHere = (table: Table) => (name: string) => name !== 'ctxSize' || table.stride === undefined;
/** Settings of how a server is asked. */
const THERE = ['tokenizer', 'timeout'];

/** Where a value comes from, as commander says it. */
type SourceOf = (name: string) => string | undefined;

/**
 * Leaves out what gives way. A model that nobody named is then the only one that the server has, and its name is empty.
 * @throws UsageError that names two options which cannot go together
 */
export function settleServer(values: object, table: Table, sourceOf: SourceOf): object {
  if (table.server === undefined) {
    return values;
  }
  const given = new Map<string, unknown>(Object.entries(values));
  const isTyped = (name: string) => given.has(name) && sourceOf(name) === 'cli';
  const ofHere = HERE.filter(isHere(table));
  const here = ofHere.find(isTyped);
  const there = THERE.find(isTyped);
  if (here !== undefined && isTyped('server')) {
    throw new UsageError(`${spelling(table, here, given.get(here))} cannot go with --server: the server decides it`);
  }
  if (given.get('server') === undefined || here !== undefined) {
    if (there !== undefined) {
      throw new UsageError(`${spelling(table, there, true)} needs --server`);
    }
    return without(given, ['server', ...THERE]);
  }
  const fromEnvironment = ofHere.filter((name) => sourceOf(name) === 'env');
  const settled = without(given, fromEnvironment);
  const isNamed = isTyped('model') || (sourceOf('model') === 'env' && !isTyped('server'));
  return isNamed ? settled : { ...settled, model: '' };
}

/** The option as it was typed. */
function spelling(table: Table, name: string, value: unknown): string {
  const options = optionsOf(table).filter((option) => option.name === name);
  const option = options.find(({ negates }) => negates === (value === false)) ?? options[0];
  return option?.long ?? name;
}

function without(values: ReadonlyMap<string, unknown>, names: readonly string[]): object {
  return Object.fromEntries([...values].filter(([name]) => !names.includes(name)));
}
