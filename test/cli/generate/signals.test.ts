// SIGINT, SIGTERM, closed pipes and slow readers, as CLI.md's "Streams, signals, exit codes" has them.

import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempDirs } from '../../support/temp-dir.js';
import { writeFloodFolder, writeLongFolder } from '../folders.js';
import { kvgenHere } from '../here.js';
import { hasProc, hasPython, kvgenOnTerminal, start, untilIdle } from '../run.js';

/** Would run until the end of time. */
const ENDLESS = ['--on-full', 'reprefill', '-n', '9007199254740991', '--ignore-eos'];

const tempDir = tempDirs();
let flood: string[];
let long: string[];

beforeAll(() => {
  flood = [
    '-m',
    writeFloodFolder(tempDir()),
    '--backend',
    'simd',
    '--threads',
    '1',
    '--prompt-ids',
    '1',
    '--seed',
    '1',
    '--ignore-eos',
  ];
  long = ['-m', writeLongFolder(tempDir()), '--backend', 'cpu', '--seed', '1'];
});

describe('a closed pipe', () => {
  it('ends an endless run at once, with exit 0 and nothing on stderr', async () => {
    const { child, end } = start([...ENDLESS, '--verbose', 'Once upon a time']);
    child.stdout.once('data', () => child.stdout.destroy());
    const { code, signal, stderr } = await end();
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
  });

  it('closed before the first byte: the same', async () => {
    const { child, end } = start([...ENDLESS, '--backend', 'simd', 'Once upon a time']);
    child.stdout.destroy();
    expect(await end()).toMatchObject({ code: 0, signal: null, stderr: '' });
  });

  it.each([['--json'], ['--no-stream']])('with %s: exit 0, nothing on stderr', async (form) => {
    const { child, end } = start([...flood, '-n', '300', form, '--verbose']);
    child.stdout.once('data', () => child.stdout.destroy());
    expect(await end()).toMatchObject({ code: 0, signal: null, stderr: '' });
  });

  it.each([['--help'], ['--version'], ['models']])('kvgen %s: exit 0, nothing on stderr', async (word) => {
    const { child, end } = start([word]);
    child.stdout.destroy();
    expect(await end()).toMatchObject({ code: 0, signal: null, stderr: '' });
  });

  it('on stderr alone leaves stdout whole', async () => {
    const { child, end } = start([...flood, '-n', '2', '--verbose']);
    child.stderr.destroy();
    const { code, stdout } = await end();
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\w{2000}\n$/);
  });
});

describe.skipIf(!hasProc)('a slow reader', () => {
  it('gets the whole text, and the process waits for it', async () => {
    const whole = await kvgenHere([...flood, '-n', '600']);
    expect(whole.bytes).toHaveLength(600_001);

    const { child, pid, end } = start([...flood, '-n', '600']);
    await untilIdle(pid);
    expect(child.exitCode).toBeNull();
    const slow: Buffer[] = [];
    for await (const chunk of child.stdout) {
      slow.push(chunk as Buffer);
      await sleep(5);
    }
    const { code } = await end();
    expect(code).toBe(0);
    expect(Buffer.concat(slow).equals(whole.bytes)).toBe(true);
  });

  it('what is not read is not generated either', async () => {
    const { child, pid, end } = start([...flood, '-n', '8000']);
    await untilIdle(pid);
    child.kill('SIGINT');
    await sleep(100);
    const { code, signal, stdout } = await end();
    expect({ code, signal }).toEqual({ code: 130, signal: null });
    expect(stdout).toMatch(/^[a-zA-F]+\n$/);
    expect(stdout.length).toBeLessThan(1_000_000); // of 8 million: what the pipe and Node hold
  });
});

describe('an interrupt', () => {
  it.each([
    ['SIGINT', 130, 'node'],
    ['SIGTERM', 143, 'simd'],
  ] as const)('%s in decode: the text so far, a newline, %i, on %s', async (name, expected, backend) => {
    const { child, end } = start([...ENDLESS, '--backend', backend, '--seed', '1', 'Once upon a time']);
    child.stdout.once('readable', () => child.kill(name));
    const { code, signal, stdout, stderr } = await end();
    expect({ code, signal, stderr }).toEqual({ code: expected, signal: null, stderr: '' });
    const whole = await kvgenHere(['--backend', 'simd', '--seed', '1', '-n', '3', 'Once upon a time']);
    const common = Math.min(stdout.length, whole.stdout.length) - 1;
    expect(common).toBeGreaterThan(0);
    expect(stdout.slice(0, common)).toBe(whole.stdout.slice(0, common));
    expect(stdout).toMatch(/[^\n]\n$/);
  });

  it('in prefill, after --echo: the prompt, a newline, 130', async () => {
    const prompt = 'a'.repeat(8000);
    const { child, end } = start([...long, '--echo', prompt]);
    child.stdout.once('readable', () => child.kill('SIGINT'));
    const { code, signal, stdout, stderr } = await end();
    expect({ code, signal, stderr }).toEqual({ code: 130, signal: null, stderr: '' });
    expect(stdout).toBe(`${prompt}\n`);
  });

  it.skipIf(!hasPython)('Ctrl-C in prefill: nothing was begun, so nothing is written', async () => {
    const { code, stdout, terminal } = await kvgenOnTerminal([...long, 'a'.repeat(8000)], {
      terminal: ['stdin', 'stderr'],
      after: 'prefill ',
      input: '\u0003',
    });
    expect(code).toBe(130);
    expect(stdout).toBe('');
    expect(terminal).not.toContain('prefill 8000/8000');
  });

  it.skipIf(!hasPython)('Ctrl-C in prefill, --json: the last object says abort', async () => {
    const { code, stdout } = await kvgenOnTerminal([...long, '--json', 'a'.repeat(8000)], {
      terminal: ['stdin', 'stderr'],
      after: 'prefill ',
      input: '\u0003',
    });
    expect(code).toBe(130);
    expect(stdout).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(stdout)).toMatchObject({
      finish_reason: 'abort',
      text: '',
      ids: [],
      prompt_tokens: 8000,
      generation_tokens: 0,
      prompt_ms: null,
      first_token_ms: null,
      decode_ms: null,
      prompt_tps: null,
      generation_tps: null,
    });
  });

  it.skipIf(!hasPython)('Ctrl-C while loading: 130, stdout empty, the terminal clean', async () => {
    const { code, stdout, terminal } = await kvgenOnTerminal(['Once upon a time'], {
      terminal: ['stdin', 'stderr'],
      after: 'loading TensorFlow',
      input: '\u0003',
    });
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    expect(terminal).toMatch(/␛\[\?25h$/); // the cursor is back, and no error follows
  });

  it.skipIf(!hasProc)('while waiting for stdin: 130, nothing written', async () => {
    const { child, pid, end } = start(['-']);
    child.stdin.write('Once upon');
    await untilIdle(pid);
    child.kill('SIGINT');
    expect(await end()).toMatchObject({ code: 130, signal: null, stdout: '', stderr: '' });
  });

  it.skipIf(!hasPython || !hasProc)('Ctrl-C while reading from the terminal: 130', async () => {
    const { code, stdout, terminal } = await kvgenOnTerminal(['-'], {
      terminal: ['stdin', 'stderr'],
      input: '\u0003',
    });
    expect({ code, stdout, terminal }).toEqual({ code: 130, stdout: '', terminal: '' });
  });

  it.skipIf(!hasPython)('Ctrl-C in decode, --json: one whole object with what there is', async () => {
    const { code, stdout, terminal } = await kvgenOnTerminal([...flood, ...ENDLESS, '--json'], {
      terminal: ['stdin', 'stderr'],
      after: 'prefill 1/1',
      input: '\u0003',
    });
    expect(code).toBe(130);
    expect(stdout).toMatch(/^\{.*\}\n$/);
    const json = JSON.parse(stdout);
    expect(json).toMatchObject({ finish_reason: 'abort', prompt_tokens: 1 });
    expect(json.ids).toHaveLength(json.generation_tokens);
    expect(json.text).toHaveLength(1000 * json.generation_tokens);
    expect(terminal).toContain(`${json.generation_tokens} token`);
  });

  it.skipIf(!hasProc)('a second one ends at once, whatever the first waits for', async () => {
    const { child, pid } = start([...flood, '-n', '8000']); // nobody reads: the first one waits to write
    await untilIdle(pid);
    const exited = new Promise<[number | null, string | null]>((resolve) =>
      child.on('exit', (code, signal) => resolve([code, signal])),
    );
    child.kill('SIGINT');
    await sleep(300);
    expect(child.exitCode).toBeNull();
    child.kill('SIGINT');
    expect(await exited).toEqual([130, null]);
  });
});
