// `kvgen models`: lists the models that `-m` can name on this machine, with size, context and origin; what lies in their places
// and would not load, with the reason. Opens files and looks at their headers; reads no weights.

import { join } from 'node:path';
import { EXIT, errorMessage, megabytes } from '../errors.js';
import { folderSource } from '../library/model.js';
import { hasTokenizer } from '../text/tokenizer.js';
import { type FoundModel, listModels, weightBytes } from '../weights/find.js';
import type { Invocation } from './shell/command.js';
import { MODELS } from './shell/command-settings.js';

export async function modelsCommand({ settings, terminal, signal }: Invocation): Promise<number> {
  const { json, color } = settings(MODELS);
  await terminal.configure({ color, quiet: false, verbose: false });
  const { models, others, problems } = listModels();
  const listed: Listed[] = [];
  for (const model of [...models, ...others]) {
    listed.push(await look(model, signal)); // one after the other: a large cache has more files than may be open
  }
  if (json) {
    await terminal.printJson({ models: listed.map(modelJson), passed_over: problems });
    return EXIT.ok;
  }
  await terminal.printTable([['NAME', 'SIZE', 'CONTEXT', 'FROM'], ...listed.map(modelRow)]);
  for (const problem of problems) {
    terminal.note(`passed over: ${problem}`);
  }
  return EXIT.ok;
}

interface Listed extends FoundModel {
  readonly bytes: number;
  /** What is known of one that loads; else why it does not. */
  readonly facts: Facts | string;
}

interface Facts {
  readonly context: number;
  readonly parameters: number;
  readonly hasTokenizer: boolean;
}

async function look(model: FoundModel, signal: AbortSignal): Promise<Listed> {
  try {
    const source = await folderSource(model, signal);
    const { folder, bytes, shape } = source;
    const parameters = await source.checkWeights();
    const facts = { context: shape.config.nPositions, parameters, hasTokenizer: await hasTokenizer(folder) };
    return { ...model, bytes, facts };
  } catch (error) {
    signal.throwIfAborted();
    return { ...model, bytes: weightBytes(model), facts: errorMessage(error) };
  }
}

function modelRow({ name, source, dir, single, bytes, facts }: Listed): string[] {
  const place = `${source}: ${single === undefined ? dir : join(dir, single)}`;
  if (typeof facts === 'string') {
    const reason = facts.replace(`${dir}: `, '').replace(`${dir}/`, '');
    return [name, megabytes(bytes), '-', `${place}: not usable: ${reason}`];
  }
  const { context, hasTokenizer } = facts;
  const tokens = hasTokenizer ? '' : ' (no tokenizer: takes --prompt-ids alone)';
  return [name, megabytes(bytes), String(context), place + tokens];
}

function modelJson({ name, source, dir, single, bytes, facts }: Listed) {
  const place = { name, source, dir, ...(single === undefined ? {} : { file: single }), bytes };
  if (typeof facts === 'string') {
    return { ...place, context: null, parameters: null, tokenizer: null, loads: false, reason: facts };
  }
  const { context, parameters, hasTokenizer: tokenizer } = facts;
  return { ...place, context, parameters, tokenizer, loads: true, reason: null };
}
