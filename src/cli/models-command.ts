// `kvgen models`: lists the models that `-m` can name on this machine, with size, context and origin.

import { EXIT, errorMessage, megabytes } from '../errors.js';
import { ModelFolder } from '../files/model-folder.js';
import { type FoundModel, listModels, weightBytes } from '../weights/find.js';
import { loadShape } from '../weights/folder.js';
import type { Invocation } from './shell/command.js';
import { MODELS } from './shell/command-settings.js';

export async function modelsCommand({ settings, terminal, signal }: Invocation): Promise<number> {
  await terminal.configure({ ...settings(MODELS), quiet: false, verbose: false });
  const { models, problems } = listModels();
  const rows = await Promise.all(models.map((model) => describe(model, signal)));
  await terminal.printTable([['NAME', 'SIZE', 'CONTEXT', 'FROM'], ...rows]);
  for (const problem of problems) {
    terminal.note(`passed over: ${problem}`);
  }
  return EXIT.ok;
}

async function describe(model: FoundModel, signal: AbortSignal): Promise<string[]> {
  const context = await loadShape(new ModelFolder(model.dir, signal)).then(
    ({ config }) => String(config.nPositions),
    (error) => `not usable: ${errorMessage(error)}`,
  );
  return [model.name, megabytes(weightBytes(model.dir)), context, `${model.source}: ${model.dir}`];
}
