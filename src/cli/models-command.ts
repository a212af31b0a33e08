// `kvgen models`: lists the models that `-m` can name on this machine, with size, context and origin.

import { EXIT, errorMessage, megabytes } from '../errors.js';
import { type FoundModel, listModels, weightBytes } from '../weights/find.js';
import { loadShape } from '../weights/folder.js';
import type { Invocation } from './shell/command.js';
import { MODELS } from './shell/command-settings.js';

export async function modelsCommand({ settings, terminal }: Invocation): Promise<number> {
  await terminal.configure({ ...settings(MODELS), quiet: false, verbose: false });
  const rows = await Promise.all(listModels().map(describe));
  await terminal.printTable([['NAME', 'SIZE', 'CONTEXT', 'FROM'], ...rows]);
  return EXIT.ok;
}

async function describe(model: FoundModel): Promise<string[]> {
  const context = await loadShape(model.dir).then(
    ({ config }) => String(config.nPositions),
    (error) => `not usable: ${errorMessage(error)}`,
  );
  return [model.name, megabytes(weightBytes(model.dir)), context, `${model.source}: ${model.dir}`];
}
