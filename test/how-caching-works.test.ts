// docs/how-caching-works.md says that every number in it comes from the command above it: here its commands are run, in
// their order, and print what stands there. Times and the counts of drafts, which go by time, may be others.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN, environment } from './cli/run.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = readFileSync(join(ROOT, 'docs/how-caching-works.md'), 'utf8');

interface Step {
  readonly command: string;
  readonly output: string;
}

/** A chart of times is another one each time. */
function steps(): Step[] {
  const blocks = Array.from(PAGE.matchAll(/^```console\n([\s\S]*?)^```$/gm), ([, block = '']) => block);
  const commands = blocks.flatMap((block) => block.split(/^\$ /m).slice(1));
  return commands
    .map((one) => ({ command: one.slice(0, one.indexOf('\n')), output: one.slice(one.indexOf('\n') + 1) }))
    .filter(({ command }) => !command.startsWith('kvgen bench'));
}

function withoutTimes(output: string): string {
  return output
    .replace(/\d+ tok\/s · /g, '')
    .replace(/first token \d+ ms/g, 'first token')
    .replace(/\d+ of \d+ drafted tokens accepted, [\d.]+ tokens a pass/g, 'drafted');
}

const STEPS = steps();
const END = '--- that was it ---';
const found: string[] = [];
let dir = '';

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'kvgen-page-'));
  symlinkSync(join(ROOT, 'models'), join(dir, 'models'));
  const kvgen = `kvgen() { '${process.execPath}' '${BIN}' "$@"; }`;
  const script = [kvgen, ...STEPS.flatMap(({ command }) => [command, `echo '${END}'`])].join('\n');
  const env = environment({ env: { KVGEN_CACHE_DIR: dir } });
  const { stdout } = await promisify(execFile)('sh', ['-c', `exec 2>&1\n${script}`], { cwd: dir, env });
  found.push(...stdout.split(`${END}\n`));
}, 120_000);

afterAll(() => rmSync(dir, { recursive: true }));

it('has commands', () => {
  expect(STEPS.length).toBeGreaterThan(20);
});

describe.skipIf(process.platform === 'win32')('prints what stands there', () => {
  it.each(STEPS.map(({ command, output }, i) => [command, output, i] as const))('%s', (_, output, i) => {
    expect(withoutTimes(found[i] ?? '')).toBe(withoutTimes(output));
  });
});
