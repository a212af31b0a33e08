// Whole processes, as a shell starts them: what stdin, stdout, the environment and arguments can be, and the installed file itself.

import { spawn } from 'node:child_process';
import { closeSync, openSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { breaches } from '../contract.js';
import { TEXTS } from '../corpus.js';
import { mutateBytes } from '../mutate.js';
import { TEXTS as NASTY, NUMBERS } from '../nasty.js';
import { LOOK_MS, Watch } from '../watch.js';
import { replaceFile } from './files.js';

const BIN = fileURLToPath(new URL('../../bin/kvgen.js', import.meta.url));
const LIMIT_MS = 5000;
/** A run that sleeps for so long waits for a pipe which nobody writes. Then Ctrl-C is pressed. */
const WAITS_MS = 1000;
const MAX_OUTPUT = 1e6;

/** @type {import('./index.js').Kind} */
export const spawnedKind = {
  name: 'spawned',
  weight: 1,
  patience: 15,
  async run(random, { base }, tell) {
    const model = ['-m', join(base, 'models', 'float32'), '--threads', '1', '-n', '3'];
    const argv = random.pick([
      () => model,
      () => [...model, '-'],
      () => ['batch', ...model],
      () => ['tokenize', '-m', join(base, 'models', 'float32')],
      () => [...model, random.pick(NASTY).replaceAll('\u0000', '')],
      () => [...model, '--temp', random.pick(NUMBERS), 'a'],
      () => [...model, '-f', './stdin'],
      () => ['score', ...model.slice(0, -2), '--choices', 'a|b'],
      () => ['--help'],
      () => [],
    ])();
    writeFileSync('stdin', mutateBytes(random, mutateBytes(random, Buffer.from(TEXTS.join('\n')))));
    const what = random.chance(0.5) ? replaceFile(random, './stdin', base) : 'text';
    const out = random.pick(['pipe', 'pipe', 'pipe', '/dev/full', '/dev/null']);
    const ended = await run(argv, out, what === 'a pipe');
    const codes = what === 'a pipe' ? [0, 1, 2, 130] : [0, 1, 2];
    const isSaidInLine =
      argv[0] === 'batch' && ended.code === 1 && (out !== 'pipe' || ended.stdout.includes('"error":'));
    tell(`${argv.join(' ')} < ${what} > ${out} → ${ended.code} ${ended.stderr}`);
    return {
      wrong: ended.timedOut
        ? [`hangs with ${what} as stdin: ${argv.join(' ')}`]
        : breaches(isSaidInLine ? { ...ended, code: 0 } : ended, codes),
      refused: ended.code !== 0,
    };
  },
};

/** @returns {Promise<import('../contract.js').Ended & { overdue: string | undefined }>} */
function run(argv, out, isEndless) {
  const stdin = openFor('./stdin', 'r');
  const stdout = out === 'pipe' ? 'pipe' : openFor(out, 'w');
  const child = spawn(process.execPath, [BIN, ...argv], { stdio: [stdin, stdout, 'pipe'] });
  for (const fd of [stdin, stdout].filter((one) => typeof one === 'number')) {
    closeSync(fd);
  }
  const texts = [child.stdout, child.stderr].map((stream) => keep(stream));
  let watch = new Watch(child.pid, isEndless ? WAITS_MS : LIMIT_MS);
  let isWaited = !isEndless;
  let overdue;
  const timer = setInterval(() => {
    const late = watch.overdue();
    if (late !== undefined && !isWaited) {
      child.kill('SIGINT');
      isWaited = true;
      watch = new Watch(child.pid, LIMIT_MS);
    } else if (late !== undefined) {
      overdue = late;
      child.kill('SIGKILL');
    }
  }, LOOK_MS);
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearInterval(timer);
      const [stdout, stderr] = texts.map((text) => text());
      resolve({ code: code ?? signal ?? undefined, stdout, stderr, overdue });
    });
  });
}

/** What cannot be opened is no input. */
function openFor(path, flags) {
  try {
    return openSync(path, statSync(path).isFIFO() ? 'r+' : flags); // to open a pipe for reading alone waits for its writer
  } catch {
    return 'ignore';
  }
}

function keep(stream) {
  let text = '';
  stream?.setEncoding('utf8').on('data', (piece) => {
    text = (text + piece).slice(0, MAX_OUTPUT);
  });
  return () => text;
}
