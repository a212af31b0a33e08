// The settings of a chat: given as options, changed by `/set`, saved with a session. Knows nothing of what they do.

import { resolve, sep } from 'node:path';
import { KvgenError, shown, UsageError } from '../../errors.js';
import { checkGenerateArgs, GENERATE, type GenerateArgs, optionsOf, settingsOf, takenBy } from '../../settings.js';
import { CHAT, type ChatArgs } from '../shell/command-settings.js';
import { jsonText } from '../shell/escape.js';

/** Settings of a turn: those that a line of a batch may have, too. */
const OF_TURNS = Object.keys(takenBy('line')).filter((name) => name in CHAT && name !== 'system');
/** What keys and values belong to: with another of them they have to be computed anew. */
const OF_MACHINE = ['backend', 'weights', 'cacheDtype'];
const OPTIONS = optionsOf(CHAT).filter(({ name }) => OF_TURNS.includes(name));

/** Those of generate. @throws UsageError for what cannot go together */
export function generateArgs(args: ChatArgs, maxTokens: number): GenerateArgs {
  const { system, history, ...others } = args;
  const all = settingsOf(GENERATE, { maxTokens, ...others });
  checkGenerateArgs(all, undefined);
  return all;
}

/** What is not as it is without options, as JSON. */
export function settingsToJson(args: ChatArgs): object {
  const changed = [...OF_TURNS, ...OF_MACHINE]
    .filter((name) => isChanged(args, name))
    .map((name) => [name, toJson(settingOf(args, name))]);
  return { ...Object.fromEntries(changed), model: args.model.includes(sep) ? resolve(args.model) : args.model };
}

/** The options, and for those that are as they are without any, what was saved. @throws KvgenError for a wrong value */
export function withSaved(args: ChatArgs, json: unknown): ChatArgs {
  const ofMachine = OF_MACHINE.some((name) => isChanged(args, name)) ? [] : OF_MACHINE; // they go together, or not at all
  const known = [...OF_TURNS, ...ofMachine, 'model'];
  const saved = Object.entries(Object(json)).filter(([name]) => known.includes(name));
  const wanted = saved.filter(([name]) => !isChanged(args, name));
  return {
    ...args,
    ...Object.fromEntries(wanted.map(([name, value]) => [name, rowOf(name).kind.fromJson(value, name)])),
  };
}

/** `/set`: the settings with another value. @throws KvgenError that lists what there is; UsageError for a wrong value */
export function changed(args: ChatArgs, option: string, value: string): ChatArgs {
  const form = `--${option.replace(/^--/, '').replaceAll('_', '-')}`;
  const found = OPTIONS.find(({ forms }) => forms.includes(form));
  if (found === undefined) {
    throw new KvgenError(`/set ${option}: expected one of ${namesOfSettings().join(', ')}`);
  }
  const { name, negates, setting } = found;
  const { kind } = setting;
  const read = kind.value === undefined ? toFlag(value, option) !== negates : readText(kind, value, option);
  return { ...args, [name]: read };
}

/** As `/set` takes them. */
export function namesOfSettings(): string[] {
  return OPTIONS.map(({ long }) => long.slice(2));
}

/** A line each. */
export function shownSettings(args: ChatArgs): string[] {
  return OPTIONS.map(({ name, long, negates }) => {
    const value = settingOf(args, name);
    const given = negates ? !value : value;
    return `${long.slice(2)} ${given === undefined ? '(default)' : jsonText(toJson(given))}`;
  });
}

function readText(kind: (typeof OPTIONS)[number]['setting']['kind'], value: string, name: string): unknown {
  return kind.fromText === undefined ? kind.fromJson(value, name) : kind.fromText(value, name);
}

function toFlag(value: string, name: string): boolean {
  const flags = new Map([
    ['on', true],
    ['true', true],
    ['off', false],
    ['false', false],
  ]);
  const found = flags.get(value);
  if (found === undefined) {
    throw new UsageError(`${name} must be on or off, got ${shown(value)}`);
  }
  return found;
}

function isChanged(args: ChatArgs, name: string): boolean {
  const text = (value: unknown) => jsonText(toJson(value) ?? null);
  return text(settingOf(args, name)) !== text(rowOf(name).fallback);
}

function settingOf(args: ChatArgs, name: string): unknown {
  return Object.entries(args).find(([key]) => key === name)?.[1];
}

function rowOf(name: string) {
  const row = optionsOf(CHAT).find((option) => option.name === name)?.setting;
  if (row === undefined) {
    throw new Error(`${name} is no setting of a chat`);
  }
  return row;
}

/** A Map of biases as an object, in which JSON has -inf as a text. */
function toJson(value: unknown): unknown {
  const bias = (x: unknown) => (x === Number.NEGATIVE_INFINITY ? '-inf' : x);
  return value instanceof Map ? Object.fromEntries([...value].map(([id, x]) => [id, bias(x)])) : value;
}
