// `kvgen models`: what `-m` can name on this machine, with size, context and where it comes from.

import type { Invocation } from '../commands.js';
import { EXIT, errorMessage } from '../errors.js';
import { type FoundModel, listModels, weightBytes } from '../model/find.js';
import { loadConfig } from '../model/load.js';
import { printable, type TerminalOptions } from '../terminal.js';

export async function modelsCommand({ options, terminal }: Invocation): Promise<number> {
  await terminal.configure({ quiet: false, verbose: false, ...(options as Pick<TerminalOptions, 'color'>) });
  const rows = await Promise.all(listModels().map(describe));
  const table = [['NAME', 'SIZE', 'CONTEXT', 'FROM'], ...rows].map((row) => row.map(printable));
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const [index, row] of table.entries()) {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    await terminal.print(index === 0 ? terminal.chalk.bold(line) : line);
  }
  return EXIT.ok;
}

async function describe(model: FoundModel): Promise<string[]> {
  const size = `${(weightBytes(model.dir) / 1e6).toFixed(1)} MB`;
  const context = await loadConfig(model.dir).then(
    (config) => String(config.nPositions),
    (error) => `not usable: ${errorMessage(error)}`,
  );
  return [model.name, size, context, `${model.source}: ${model.dir}`];
}
