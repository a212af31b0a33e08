// --color-by-probability: what is put around the text of tokens, and when it is.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Chalk } from 'chalk';
import { describe, expect, it } from 'vitest';
import type { TextRun } from '../../../src/cli/generate/samples.js';
import { TokenColors } from '../../../src/cli/generate/token-colors.js';
import type { CompletionToken } from '../../../src/completion/complete.js';
import { kvgenHere } from '../here.js';
import { hasPython, kvgen, kvgenOnTerminal, start, visible } from '../run.js';

const RUN = { tokenizer: { isSpecial: (id: number) => id === 9 } } as unknown as TextRun;

/** Colours as <b>, <g>, <r> and <p>: blue, grey, brown, pink. */
function named(text: string): string {
  const names: Readonly<Record<string, string>> = { '27': 'b', '243': 'g', '136': 'r', '163': 'p' };
  const color = /␛\[38;5;(\d+)m(.*?)␛\[39m/g;
  return visible(text).replace(color, (_, code: string, inner) => `<${names[code]}>${inner}</>`);
}

function paint(tokens: readonly (readonly [text: string, probability?: number, id?: number])[]) {
  const colors = new TokenColors(new Chalk({ level: 2 }));
  const painted = tokens.map(([text, probability, id = 1]) => {
    const token = { id, text, logprob: probability === undefined ? undefined : Math.log(probability) };
    return colors.paint(RUN, [token as CompletionToken]);
  });
  return { text: named(painted.join('')), raw: painted.join(''), legend: colors.legend(new Chalk({ level: 0 })) };
}

describe('the text', () => {
  it('of each token has the colour of its probability', () => {
    const tokens = [
      [' a', 0.9],
      [' b', 0.3],
      [' c', 0.02],
      [' d', 0.001],
    ] as const;
    expect(paint(tokens).text).toBe('<b> a</><g> b</><r> c</><p> d</>');
  });

  it('has no colour over a newline', () => {
    const tokens = [
      ['.\n\nOnce\r\n', 0.9],
      ['\n', 0.9],
    ] as const;
    expect(paint(tokens).text).toBe('<b>.</>\n\n<b>Once</>\r\n\n');
  });

  it('that several tokens released together is as likely as the least likely of them', () => {
    const tokens = [
      ['', 0.9],
      ['', 0.002],
      ['你', 0.9],
      ['!', 0.9],
      ['', 0.9],
      [' the end of', 0.2],
    ] as const;
    expect(paint(tokens).text).toBe('<p>你</><b>!</><g> the end of</>');
  });

  it('of a token behind a special one, which has none, is as likely as itself', () => {
    expect(
      paint([
        ['', 0.001, 9],
        [' a', 0.9],
      ]).text,
    ).toBe('<b> a</>');
  });

  it('of two samples is told apart', () => {
    const colors = new TokenColors(new Chalk({ level: 2 }));
    const other = { ...RUN };
    colors.paint(RUN, [{ id: 1, text: '', logprob: Math.log(0.001) }]);
    expect(named(colors.paint(other, [{ id: 1, text: 'a', logprob: Math.log(0.9) }]))).toBe('<b>a</>');
    expect(named(colors.paint(RUN, [{ id: 1, text: 'b', logprob: Math.log(0.9) }]))).toBe('<p>b</>');
  });

  it('keeps every byte of the model, its escapes too', () => {
    const text = 'a\u001b[31mb\u001b[39mc';
    expect(paint([[text, 0.9]]).raw).toBe(`\u001b[38;5;27m${text}\u001b[39m`);
  });

  it('has no colour where the probability is not known, and the legend says so', () => {
    const { text, legend } = paint([[' a'], [' b', 0.9], ['', 0.9], ['']]);
    expect(text).toBe(' a<b> b</>');
    expect(legend).toMatch(/ · pink < 1 % · no colour: not known$/);
  });
});

describe('the legend', () => {
  it('names the colours, so that it can be read without them', () => {
    expect(paint([['a', 1]]).legend).toBe(
      'probability of each token: blue ≥ 50 % · grey ≥ 10 % · brown ≥ 1 % · pink < 1 %',
    );
  });

  it('says so where no probability is known', () => {
    expect(paint([[' a'], [' b']]).legend).toBe('probability of each token: not known, so there are no colours');
  });

  it('is not there where no token was', () => {
    expect(paint([]).legend).toBeUndefined();
  });
});

const ASK = ['--backend', 'simd', '--threads', '1', '--seed', '7', '-n', '24', '--samples', '2'];
const PLAIN = [...ASK, 'Once upon a time'];
const COLORED = ['--color-by-probability', ...PLAIN];
/** CI: without a spinner. */
const TERMINAL = { terminal: ['stdin', 'stdout'] as const, env: { CI: '1' } };

/** Texts with their colours: as the log-probabilities of --jsonl say. */
async function expected(): Promise<string> {
  const { stdout } = await kvgenHere(['--jsonl', ...PLAIN]);
  const events = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const texts = [0, 1].map((sample) => {
    const colors = new TokenColors(new Chalk({ level: 2 }));
    return colors.paint(
      RUN,
      events.filter((event) => event.type === 'token' && event.sample === sample),
    );
  });
  return named(`${texts.join('\n---\n')}\n`);
}

describe.runIf(hasPython)('on a terminal', () => {
  it('colours the texts of all samples by their log-probabilities, streamed or not, with the legend on stderr', async () => {
    const env = { CI: undefined, TERM: 'xterm-256color' };
    const streamed = await kvgenOnTerminal(COLORED, { ...TERMINAL, env });
    expect(named(streamed.terminal)).toBe(await expected());
    expect(streamed.stderr).toMatch(/^probability of each token: blue ≥ 50 % [^\n]*\n$/);
    const whole = await kvgenOnTerminal(['--no-stream', '-q', ...COLORED], { ...TERMINAL, env });
    expect(whole).toEqual({ ...streamed, stderr: '' });
  });

  it.each([
    [{ COLORTERM: 'truecolor' }, '␛[38;2;48;120;252m,␛[39m\n'],
    [{ TERM: 'xterm-256color', COLORTERM: undefined }, '␛[38;5;27m,␛[39m\n'],
    [{ TERM: 'xterm', COLORTERM: undefined }, '␛[94m,␛[39m\n'],
  ])('has as many colours as the terminal: %j', async (env, expected) => {
    const args = ['--color-by-probability', '--backend', 'simd', '--temp', '0', '-n', '1', 'Once upon a time'];
    const found = await kvgenOnTerminal(args, { ...TERMINAL, env: { CI: undefined, TERM_PROGRAM: undefined, ...env } });
    expect(found.terminal).toBe(expected);
  });

  it('colours what a server writes as it is coloured here', async () => {
    const server = start(['serve', '--backend', 'simd', '--threads', '1', '--port', '0']);
    const [line] = await once(server.child.stderr, 'data');
    const [url = ''] = /http:[^\s]+\d/.exec(String(line)) ?? [];
    const env = { TERM: 'xterm-256color', CI: undefined };
    const args = ['--server', url, '--color-by-probability', ...PLAIN.slice(4)];
    const found = await kvgenOnTerminal(args, { ...TERMINAL, env });
    server.child.kill('SIGTERM');
    await server.end();
    expect(named(found.terminal)).toBe(await expected());
  });

  it('colours a saved answer as it did when it was computed', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'kvgen-colors-'));
    const args = ['--answer-cache', '--cache-dir', dir, ...COLORED];
    const first = await kvgenOnTerminal(args, TERMINAL);
    const again = await kvgenOnTerminal(['--verbose', ...args], TERMINAL);
    rmSync(dir, { recursive: true });
    expect(first.terminal).toMatch(/␛\[94m/);
    expect(again.terminal).toBe(first.terminal);
    expect(again.stderr).toMatch(/answer from the cache\n$/);
  });

  it.each([
    [['--color', 'never'], {}],
    [[], { NO_COLOR: '1' }],
    [[], { TERM: 'dumb' }],
  ])('does not where colours are off: %j %j', async (options, env) => {
    const found = await kvgenOnTerminal([...options, ...COLORED], { ...TERMINAL, env: { ...TERMINAL.env, ...env } });
    expect(found.terminal).toBe((await kvgenHere(PLAIN)).stdout);
    expect(found.stderr).toBe('kvgen: --color-by-probability does not apply: colours are off\n');
  });

  it('ends no text with an open colour when it is interrupted', async () => {
    const args = [
      '--color-by-probability',
      '--backend',
      'simd',
      '--no-cache',
      '--ignore-eos',
      '-n',
      '-1',
      'Once upon a time',
    ];
    const { code, terminal } = await kvgenOnTerminal(args, { ...TERMINAL, after: '\u001b[9', input: '\u0003' });
    expect(code).toBe(130);
    expect(terminal.match(/␛\[[\d;]*m/g)?.at(-1)).toBe('␛[39m');
  });
});

describe('in a pipe', () => {
  it.each([['auto'], ['always']])(
    'stdout is the same, byte for byte, with --color %s; a note says so',
    async (color) => {
      const found = await kvgen(['--color', color, ...COLORED], { env: { FORCE_COLOR: '3' } });
      expect(found.stdout).toBe((await kvgenHere(PLAIN)).stdout);
      expect(found.stderr).toBe('kvgen: --color-by-probability does not apply: stdout is not a terminal\n');
    },
  );

  it('is silent with --quiet', async () => {
    expect(await kvgenHere(['-q', ...COLORED])).toMatchObject({ code: 0, stderr: '' });
  });
});

it.each(['--json', '--jsonl'])('cannot go with %s', async (form) => {
  const { code, stdout, stderr } = await kvgenHere([form, ...COLORED]);
  expect({ code, stdout, stderr }).toEqual({
    code: 2,
    stdout: '',
    stderr: `kvgen: --color-by-probability cannot go with ${form}\n`,
  });
});
