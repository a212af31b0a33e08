// Prints a table on stdout: columns padded, the first row bold, control characters escaped.

import { printable, type Terminal } from './terminal.js';

export async function printTable(terminal: Terminal, rows: readonly (readonly string[])[]): Promise<void> {
  const table = rows.map((row) => row.map(printable));
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const [index, row] of table.entries()) {
    const line = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    await terminal.print(index === 0 ? terminal.chalk.bold(line) : line);
  }
}
