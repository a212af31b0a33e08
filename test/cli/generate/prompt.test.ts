// Where the prompt comes from and what becomes of it: CLI.md's "The prompt".

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { goldenDir, readGolden, sureSteps } from '../../support/golden.js';
import { tempDirs } from '../../support/temp-dir.js';
import { BYTES } from '../folders.js';
import { kvgenHere as kvgen, kvgenJsonHere as kvgenJson } from '../here.js';
import { BIN, hasProc, hasPython, kvgenOnTerminal, start } from '../run.js';

const tempDir = tempDirs();
const GREEDY = ['--temp', '0'];
/** No generation: only what the prompt became. */
const bytes = ['-m', BYTES, '--backend', 'cpu', '-n', '0'];

/** The prompt that the command used, and its ids. */
async function promptOf(args: readonly string[], input?: string | Uint8Array) {
  const { json } = await kvgenJson([...bytes, ...args], input === undefined ? {} : { input });
  return { prompt: json.prompt, tokens: json.prompt_tokens };
}

function fileWith(content: string | Uint8Array): string {
  const path = join(tempDir(), 'prompt.txt');
  writeFileSync(path, content);
  return path;
}

describe('the prompt comes from', () => {
  it('the argument', async () => {
    expect(await promptOf(['xyz'])).toEqual({ prompt: 'xyz', tokens: 3 });
  });

  it('the argument of `kvgen generate`', async () => {
    const { json } = await kvgenJson(['generate', ...bytes, 'xyz']);
    expect(json.prompt).toBe('xyz');
  });

  it('a file, less one newline', async () => {
    expect(await promptOf(['-f', fileWith('x\n\n')])).toEqual({ prompt: 'x\n', tokens: 2 });
    expect(await promptOf(['--file', fileWith('x\r\n')])).toEqual({ prompt: 'x', tokens: 1 });
  });

  it('piped stdin, less one newline', async () => {
    expect(await promptOf([], 'yz\n\n')).toEqual({ prompt: 'yz\n', tokens: 3 });
    expect(await promptOf([], 'yz')).toEqual({ prompt: 'yz', tokens: 2 });
  });

  it('stdin by the name -', async () => {
    expect(await promptOf(['-'], 'yz\n')).toEqual({ prompt: 'yz', tokens: 2 });
  });

  it('the argument alone where there is one, its newline included', async () => {
    expect(await promptOf(['x\n'], 'from stdin')).toEqual({ prompt: 'x\n', tokens: 2 });
  });

  it.skipIf(!hasPython)('the terminal for -', async () => {
    const { code, stdout } = await kvgenOnTerminal([...bytes, '--json', '-'], {
      terminal: ['stdin'],
      input: 'typed\n\u0004',
    });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).prompt).toBe('typed');
  });
});

it('an open stdin is not waited for when there is an argument', async () => {
  const { end } = start([...bytes, '--echo', 'x']); // stdin stays open and silent
  expect(await end()).toMatchObject({ code: 0, stdout: 'x\n' });
});

it.skipIf(!hasPython).each([
  [[], 'kvgen [options] [prompt]', 'kvgen: no prompt\n'],
  [['tokenize'], 'kvgen tokenize [options] [text]', 'kvgen: no text\n'],
])('kvgen %j on a terminal without a prompt: usage on stderr, exit 2', async (args, usage, error) => {
  const { code, terminal, stdout } = await kvgenOnTerminal(args, { terminal: ['stdin', 'stderr'] });
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(terminal).toContain(`Usage: ${usage}\n`);
  expect(terminal).toContain('\n  -m, --model <dir or name>');
  expect(terminal.endsWith(error)).toBe(true);
});

describe('words', () => {
  it.each([
    [['one', 'two'], 'quote the prompt'],
    [['-n', '3', 'one', 'two', 'three'], 'got 3: quote the prompt'],
    [['tokenize', 'one', 'two'], 'quote the prompt'],
    [['--', 'one', 'two'], 'quote the prompt'],
    [['-n', '3', 'doctor'], "'doctor' is a command and comes first; as a prompt: kvgen -- doctor"],
    [['generate', 'models'], "'models' is a command and comes first"],
    [['models', 'extra'], 'expected at most 0 arguments, got 1: `kvgen models --help`'],
  ])('%j: exit 2', async (args, message) => {
    const { code, stdout, stderr } = await kvgen(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^kvgen: .*\n$/);
    expect(stderr).toContain(message);
  });

  it.each([
    [['--', 'bench'], 'bench'],
    [['--', '--json'], '--json'],
    [['--', '-'], '-'],
    [['help'], 'help'],
  ])('%j is a prompt', async (args, prompt) => {
    const { json } = await kvgenJson([...bytes, ...args]);
    expect(json.prompt).toBe(prompt);
  });
});

describe('an empty prompt', () => {
  it.each([
    ['argument', [''], undefined],
    ['stdin', [], ''],
    ['line on stdin', [], '\n'],
  ])('(%s) starts from the end-of-text token and counts 1', async (_, args, input) => {
    const { json } = await kvgenJson([...bytes, ...args], input === undefined ? {} : { input });
    expect(json).toMatchObject({ prompt: '', prompt_ids: [0], prompt_tokens: 1 });
  });
});

describe('what is not UTF-8 is refused with the offset', () => {
  it.each([
    ['a lone continuation byte', [0x61, 0x62, 0x80, 0x63], 2],
    ['a character cut off by the end', [0x61, 0xe4, 0xba], 1],
    ['a broken character', [0xe4, 0xba, 0xba, 0xe4, 0xba, 0x61], 3],
    ['a byte that never occurs', [0xff], 0],
  ])('%s', async (_, values, offset) => {
    const { code, stdout, stderr } = await kvgen(bytes, { input: Uint8Array.from(values) });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^kvgen: stdin: not UTF-8 at byte ${offset}; .*\\n$`));
  });

  it.skipIf(!hasProc)('in the argument, where U+FFFD itself is welcome', async () => {
    const echo = (prompt: string) =>
      spawnSync('bash', ['-c', `"$0" "$@" ${prompt}`, process.execPath, BIN, ...bytes, '--echo'], { encoding: 'utf8' });
    expect(echo("$'ab\\xe4\\xba'")).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'kvgen: the prompt: not UTF-8 at byte 2; convert it first, for example with iconv\n',
    });
    expect(echo("$'a\\xef\\xbf\\xbd'")).toMatchObject({ status: 0, stdout: 'a\ufffd\n', stderr: '' });
  });

  it('in a file, by its name', async () => {
    const path = fileWith(Buffer.concat([Buffer.from('a'.repeat(70_000)), Buffer.of(0xc0)]));
    const { code, stderr } = await kvgen([...bytes, '-f', path]);
    expect(code).toBe(1);
    expect(stderr).toContain(`${path}: not UTF-8 at byte 70000;`);
  });
});

it.each([
  ['/nonexistent/prompt', /^kvgen: \/nonexistent\/prompt: the prompt cannot be read \(there is no such file\)\n$/],
  ['/', /^kvgen: \/: the prompt cannot be read \(it is a folder\); .*\n$/],
])('a file that cannot be read (%s): exit 1', async (path, message) => {
  const { code, stdout, stderr } = await kvgen([...bytes, '-f', path]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(message);
});

describe('--prompt-ids', () => {
  it('gives ids as they are, and their text', async () => {
    const { json } = await kvgenJson([...bytes, '--prompt-ids', '88, 89,257']);
    expect(json).toMatchObject({ prompt: 'xyth', prompt_ids: [88, 89, 257], prompt_tokens: 3 });
  });

  it('works without a tokenizer; texts are then empty', async () => {
    const golden = readGolden('prefix');
    const steps = sureSteps(golden.greedy).slice(0, 6);
    const args = ['-m', goldenDir('prefix'), '--backend', 'cpu', '--ignore-eos', '-n', String(steps.length), ...GREEDY];
    const run = ['--prompt-ids', golden.prompt_ids.join(',')];
    const { json } = await kvgenJson([...args, ...run, '--echo']);
    expect(json).toMatchObject({ prompt: '', text: '', prompt_ids: golden.prompt_ids, ids: steps.map(({ id }) => id) });
    expect(await kvgen([...args, ...run])).toMatchObject({ code: 0, stdout: '\n', stderr: '' });
    const texts = await kvgen([...args, 'x']);
    expect(texts.code).toBe(1);
    expect(texts.stderr).toMatch(/^kvgen: .*tokenizer.*\n$/);
    const stop = await kvgen([...args, ...run, '--stop', 'x']);
    expect(stop).toMatchObject({ code: 1, stdout: '' });
    expect(stop.stderr).toMatch(/^kvgen: .*--stop needs a tokenizer.*\n$/);
  });

  it('refuses an id that the model does not have', async () => {
    const { code, stderr } = await kvgen([...bytes, '--prompt-ids', '1,288']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^kvgen: token id 288: expected a whole number from 0 to 287.*\n$/);
  });
});

describe('the context', () => {
  const args = ['-m', BYTES, '--backend', 'cpu', '--ignore-eos', '--seed', '1'];

  it('holds prompt and generation; -n -1 fills it', async () => {
    const { json } = await kvgenJson([...args, '-n', '-1', 'xyz']);
    expect(json).toMatchObject({ prompt_tokens: 3, generation_tokens: 37, finish_reason: 'context' });
    expect(json.cache.positions).toBe(39);
  });

  it('-n beyond it ends with "context"; exactly up to it with "length"', async () => {
    const beyond = await kvgenJson([...args, '-n', '38', 'xyz']);
    expect(beyond.json).toMatchObject({ generation_tokens: 37, finish_reason: 'context' });
    const exact = await kvgenJson([...args, '-n', '37', 'xyz']);
    expect(exact.json).toMatchObject({ generation_tokens: 37, finish_reason: 'length' });
  });

  it('is smaller with --ctx-size', async () => {
    const { json } = await kvgenJson([...args, '-n', '-1', '-c', '10', 'xyz']);
    expect(json).toMatchObject({ prompt_tokens: 3, generation_tokens: 7, finish_reason: 'context' });
  });

  it("is never larger than the model's", async () => {
    const { code, stdout, stderr } = await kvgen([...args, '--ctx-size', '41', 'x']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^kvgen: --ctx-size 41: .*40.*\n$/);
  });

  it.each([
    [40, []],
    [55, []],
    [10, ['-c', '10']],
  ])('a prompt of %i tokens that leaves no room is refused with both numbers %j', async (length, more) => {
    const { code, stdout, stderr } = await kvgen([...args, ...more, 'x'.repeat(length)]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^kvgen: .*--truncate-prompt.*\n$/);
    expect(stderr).toContain(`${length} tokens and the context ${more[1] ?? 40}`);
  });

  it('takes a prompt that leaves room for one token', async () => {
    const { json } = await kvgenJson([...args, 'x'.repeat(39)]);
    expect(json).toMatchObject({ prompt_tokens: 39, generation_tokens: 1, finish_reason: 'context' });
  });

  const prompt = 'a'.repeat(30) + 'z'.repeat(30);
  it.each([
    ['head', '8', 32, 8, 'a'.repeat(2) + 'z'.repeat(30)],
    ['tail', '8', 32, 8, 'a'.repeat(30) + 'z'.repeat(2)],
    ['head', '500', 20, 20, 'z'.repeat(20)],
    ['tail', '-1', 20, 20, 'a'.repeat(20)],
  ])('--truncate-prompt %s -n %s keeps %i tokens and says what it dropped', async (part, n, kept, generated, text) => {
    const { json, stderr } = await kvgenJson([...args, '--truncate-prompt', part, '-n', n, prompt]);
    const letter = (id: number) => String.fromCharCode(id + 32);
    expect(json.prompt_ids.map(letter).join('')).toBe(text);
    expect(json).toMatchObject({ prompt_tokens: kept, generation_tokens: generated });
    expect(stderr).toBe(`kvgen: the prompt is too long: dropped ${60 - kept} tokens of its ${part}, kept ${kept}\n`);
  });

  it('--truncate-prompt leaves a prompt alone that fits, and says nothing', async () => {
    const { json, stderr } = await kvgenJson([...args, '--truncate-prompt', 'head', '-n', '30', 'x'.repeat(30)]);
    expect(json).toMatchObject({ prompt_tokens: 30, generation_tokens: 10 });
    expect(stderr).toBe('');
  });

  it('-n 0 runs the prompt alone', async () => {
    const { json } = await kvgenJson([...args, '-n', '0', 'xyz']);
    expect(json).toMatchObject({ ids: [], text: '', generation_tokens: 0, finish_reason: 'length' });
    expect(json.cache.positions).toBe(3);
    expect(await kvgen([...args, '-n', '0', 'xyz'])).toMatchObject({ code: 0, stdout: '\n', stderr: '' });
  });
});

it('a prompt in any UTF-8 is echoed byte for byte, with a byte order mark and a terminal sequence in it', async () => {
  for (const text of ['人工智能技术发展迅速', '\ufeffx\u001b[31m\u0007\u009b']) {
    const { bytes: out } = await kvgen([...bytes, '--echo'], { input: text });
    expect(out.toString('hex')).toBe(Buffer.from(`${text}\n`).toString('hex'));
  }
});
