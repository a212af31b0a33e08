// How a process ends that a signal has stopped: with the exit code of the signal, and by the signal itself only where a
// thread would keep it from ending.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';

const MODULE = new URL('../../../dist/cli/shell/interrupts.js', import.meta.url);

/** Its work ends at the signal; something keeps the process alive for a second more. */
const PROGRAM = (isStuck: boolean) => `
  import { catchInterrupts } from ${JSON.stringify(MODULE.href)};
  const interrupts = catchInterrupts();
  const work = setInterval(() => {}, 1000);
  interrupts.signal.addEventListener('abort', () => {
    process.exitCode = interrupts.exitCode();
    interrupts.finish(() => ${isStuck});
    clearInterval(work);
    setTimeout(() => {}, 1000);
  });
  console.log('ready');`;

async function endedBy(name: NodeJS.Signals, isStuck: boolean) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM(isStuck)]);
  await once(child.stdout, 'data');
  child.kill(name);
  return await once(child, 'exit');
}

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('ends with its exit code, however late, after %s', async (name, code) => {
  expect(await endedBy(name, false)).toEqual([code, null]);
});

it('ends by the signal where it is stuck', async () => {
  expect(await endedBy('SIGTERM', true)).toEqual([null, 'SIGTERM']);
});
