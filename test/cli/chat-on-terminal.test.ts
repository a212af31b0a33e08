// `kvgen chat` with a person at a real terminal: keys, history, several lines, Ctrl-C and Ctrl-D, pastes, sessions that survive
// being killed.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeChatModel } from '../support/chat-folder.js';
import { tempDirs } from '../support/temp-dir.js';
import { hasProc, hasPython, kvgenOnTerminal, type OnTerminal } from './run.js';

const tempDir = tempDirs();
const ALL = ['stdin', 'stdout', 'stderr'] as const;
const PROMPT = '>>> ';
const CTRL = { c: '\u0003', d: '\u0004', up: '\u001b[A', left: '\u001b[D' } as const;
let dir: string;
beforeAll(() => {
  dir = writeChatModel(tempDir(), { positions: 2048 });
});

type Steps = NonNullable<OnTerminal['steps']>;

/** A conversation as its session was saved. */
function turnsOf(state: string, name: string): { user: string; answer: string }[] {
  return JSON.parse(readFileSync(join(state, 'kvgen', 'chats', `${name}.json`), 'utf8')).turns;
}

async function talk(state: string, args: readonly string[], steps: Steps) {
  const options = ['-m', dir, '--backend', 'simd', '--threads', '1', '--temp', '0', '-n', '4', '--ignore-eos'];
  const env = { XDG_STATE_HOME: state, KVGEN_CACHE_DIR: state };
  return kvgenOnTerminal(['chat', ...options, ...args], { terminal: ALL, steps, env });
}

const typed = (...lines: string[]): Steps => [
  ...lines.map((input) => ({ after: PROMPT, input })),
  { after: PROMPT, input: CTRL.d },
];

describe.skipIf(!hasPython || !hasProc)('at a terminal', () => {
  it('edits a line, remembers it for the next chat, takes several lines, and Ctrl-D leaves', async () => {
    const state = tempDir();
    const first = await talk(
      state,
      ['one'],
      typed(`ac${CTRL.left}b\r`, '"""\r', ...[])
        .slice(0, 2)
        .concat([
          { after: '... ', input: 'x\r' },
          { after: '... ', input: 'y"""\r' },
          { after: PROMPT, input: 'p\\\r' },
          { after: '... ', input: 'q\r' },
          { after: PROMPT, input: CTRL.d },
        ]),
    );
    expect(first.code).toBe(0);
    expect(turnsOf(state, 'one').map(({ user }) => user)).toEqual(['abc', 'x\ny', 'p\nq']);
    expect(statSync(join(state, 'kvgen', 'chats', 'history')).mode & 0o777).toBe(0o600);
    await talk(state, ['two', '--no-prompt-cache'], typed(`${CTRL.up.repeat(6)}\r`));
    expect(turnsOf(state, 'two').map(({ user }) => user)).toEqual(['abc']);
  });

  it('a paste of 200 lines is one turn, marked or not', async () => {
    const state = tempDir();
    const lines = Array.from({ length: 200 }, (_, i) => `${i}`).join('\r');
    await talk(
      state,
      ['s', '-n', '1'],
      [
        { after: PROMPT, input: `\u001b[200~${lines}\u001b[201~` },
        { after: '[pasted 200 lines #1]', input: '!\r' },
        { after: PROMPT, input: lines },
        { after: '[pasted 200 lines #2]', input: '\r' },
        { after: PROMPT, input: CTRL.d },
      ],
    );
    const whole = lines.replaceAll('\r', '\n');
    expect(turnsOf(state, 's').map(({ user }) => user)).toEqual([`${whole}!`, whole]);
  });

  it('Ctrl-C stops an answer, which stays as far as it came; at the prompt it empties the line', async () => {
    const state = tempDir();
    const { terminal, code } = await talk(
      state,
      ['s', '-n', '-1', '--logit-bias', '122=1000', '--backend', 'cpu'],
      [
        { after: PROMPT, input: 'a\r' },
        { after: 'zzz', input: `b${CTRL.c}`, columns: 40 },
        { after: PROMPT, input: `gone${CTRL.c}` },
        { after: PROMPT, input: CTRL.c },
        { after: 'Ctrl-D or /exit leaves.', input: '' },
        { after: PROMPT, input: '/exit\r' },
      ],
    );
    expect(code).toBe(0);
    const [turn, ...others] = turnsOf(state, 's');
    expect(others).toEqual([]);
    expect(turn?.answer).toMatch(/^z{3,1990}$/);
    const [, answer = ''] = /(zzz.*?)tokens/s.exec(terminal) ?? [];
    expect(answer).toContain('\n');
    expect(answer).not.toContain(PROMPT); // which a terminal that changes its size would have drawn again
  });

  it('/undo after ten turns gives the text of nine, and a killed chat goes on without prefill', async () => {
    const state = tempDir();
    const says = Array.from({ length: 10 }, (_, i) => ({ after: PROMPT, input: `${i}\r` }));
    const killed = await talk(
      state,
      ['s'],
      [...says, { after: PROMPT, input: '/undo\r' }, { after: '9 turns', input: '' }, { after: PROMPT, signal: 9 }],
    );
    expect(killed.code).toBe(-9);
    expect(turnsOf(state, 's').map(({ user }) => user)).toEqual(says.slice(0, 9).map((_, i) => `${i}`));
    const { terminal } = await talk(
      state,
      ['s'],
      typed('/tokens\r', 'x\r', '/retry\r', '/set temp 0.5\r', '/save t\r', '/load s\r'),
    );
    expect(terminal).toContain('9 turns, ');
    const [, tokens = 0] = /9 turns, (\d+) of/.exec(terminal) ?? [];
    const [, prompt = 0, reused = 0] = /prompt (\d+) tokens \((\d+) reused\)/.exec(terminal) ?? [];
    expect(Number(reused)).toBeGreaterThanOrEqual(Number(tokens) - 1);
    expect(Number(prompt) - Number(reused)).toBeLessThan(60);
    expect(turnsOf(state, 't').length).toBe(10);
    expect(terminal).toMatch(/Session s: 10 turns, \d+ of 2048 tokens\./);
    expect(JSON.parse(readFileSync(join(state, 'kvgen', 'chats', 't.json'), 'utf8')).settings.temperature).toBe(0.5);
  });

  it('SIGTERM ends it as it ends other commands', async () => {
    const state = tempDir();
    const { code } = await talk(
      state,
      ['s'],
      [
        { after: PROMPT, input: 'a\r' },
        { after: PROMPT, input: 'half a li' },
        { after: 'half a li', signal: 15 },
      ],
    );
    expect(code).toBe(143);
    expect(turnsOf(state, 's').map(({ user }) => user)).toEqual(['a']);
  });

  it('says what a command cannot do, and goes on', async () => {
    const { terminal, code } = await talk(
      tempDir(),
      [],
      typed('/undo\r', '/nothing\r', '/set temp x\r', '/load none\r', '/save ../x\r', '/read none.txt\r', '/help\r'),
    );
    for (const line of [
      'kvgen: nothing was said yet',
      'kvgen: /nothing: there is no such command; /help lists them, and //nothing is a message',
      'kvgen: temp must be in [0, ∞), got x',
      'kvgen: session none: there is none; /save makes one',
      'kvgen: session "../x": expected at most 64 of',
      'kvgen: none.txt: ',
      '/tokens',
    ]) {
      expect(terminal).toContain(line);
    }
    expect(code).toBe(0);
  });
});
