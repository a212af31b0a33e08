// Runs cases in a worker process and watches it: one that hangs, takes too much memory or dies is ended, and its case is a finding.
// The next case then runs in a new worker. Knows nothing of what a case is.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('worker.js', import.meta.url));
/** How often a process is looked at, in milliseconds. */
export const LOOK_MS = 50;
/** A case that sleeps for so long, or computes for so long, hangs. */
const LIMIT_MS = 2000;
/** On a machine with other work a case may have to wait for its turn; longer than this none has. */
const PATIENCE = 15;
/** For what is made before the first case. */
const START_MS = 60_000;
const MAX_RSS_BYTES = 2e9;
/** Of /proc/<pid>/stat. */
const TICK_MS = 10;
const PAGE_BYTES = 4096;

/**
 * @typedef {object} Order what a worker is told
 * @property {string} base a folder to work in
 * @property {number} seed
 * @property {number} from the first case
 * @property {number} to the case behind the last
 * @property {string} kinds the module with the kinds of cases
 * @property {string} [only] the one kind that is wanted
 *
 * @typedef {object} Result of one case
 * @property {number} n
 * @property {string} kind
 * @property {boolean} refused was it refused as it should be, rather than run?
 * @property {string[]} story what was done
 * @property {string[]} wrong what was found
 */

/**
 * @param {Order} order
 * @param {{ onResult: (result: Result) => void, isOver: () => boolean, limitMs?: number }} options `isOver` is asked after each case
 */
export async function runCases(order, { onResult, isOver, limitMs = LIMIT_MS }) {
  for (let from = order.from; from < order.to && !isOver(); ) {
    from = await new Worker({ ...order, from }, onResult, isOver, limitMs).done;
  }
}

/** One process: runs cases until all are done, or one has ended it. */
class Worker {
  /** The next case to run. @type {Promise<number>} */
  done;
  #child;
  #from;
  #onResult;
  #isOver;
  #limitMs;
  /** The case that runs, or has run last. @type {Result & { running: boolean }} */
  #case;
  #watch;
  /** Why the case was ended. @type {string | undefined} */
  #failure;
  /** What the process wrote to stderr. */
  #said = '';

  constructor(order, onResult, isOver, limitMs) {
    this.#from = order.from;
    this.#onResult = onResult;
    this.#isOver = isOver;
    this.#limitMs = limitMs;
    this.#case = { n: order.from - 1, kind: 'start', refused: false, story: [], wrong: [], running: true };
    this.#child = fork(WORKER, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: ['--max-old-space-size=1024'] });
    this.#watch = new Watch(this.#child.pid, START_MS);
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#said = (this.#said + text).slice(-1000);
    });
    this.#child.on('message', (message) => this.#hear(message));
    this.#child.send(order);
    this.done = this.#untilClosed();
  }

  async #untilClosed() {
    const kill = () => this.#child.kill('SIGKILL');
    process.once('exit', kill);
    const timer = setInterval(() => {
      this.#failure ??= this.#case.running ? this.#watch.overdue() : undefined;
      if (this.#failure !== undefined) {
        kill();
      }
    }, LOOK_MS);
    const [code, signal] = await once(this.#child, 'close');
    clearInterval(timer);
    process.removeListener('exit', kill);
    this.#failure ??= this.#case.running ? `the process ended (${signal ?? `exit ${code}`}): ${this.#said}` : undefined;
    return this.#next();
  }

  #next() {
    const { n, running, ...rest } = this.#case;
    if (running && n < this.#from) {
      throw new Error(`the worker does not start: ${this.#failure}`);
    }
    if (running) {
      this.#onResult({ n, ...rest, wrong: [String(this.#failure)] });
    }
    return n + 1;
  }

  #hear({ begin, told, result, failed }) {
    if (this.#isOver() && !this.#case.running) {
      this.#child.kill('SIGKILL');
    } else if (begin !== undefined) {
      const { n, kind, patience = 1 } = begin;
      this.#case = { n, kind, refused: false, story: [], wrong: [], running: true };
      this.#watch = new Watch(this.#child.pid, patience * this.#limitMs);
    } else if (told !== undefined) {
      this.#case.story.push(told);
    } else if (result !== undefined) {
      this.#case.running = false;
      this.#onResult({ ...this.#case, ...result });
    } else {
      this.#failure = failed;
    }
  }
}

/** Watches what a process computes and takes, from now on. To be asked every `LOOK_MS`. */
export class Watch {
  #pid;
  #limitMs;
  #start;
  #cpu;
  /** How many looks in a row have found it asleep and without having computed. */
  #idleLooks = 0;

  /** @param {number} pid @param {number} limitMs how long it may compute, and how long it may sleep */
  constructor(pid, limitMs) {
    this.#pid = pid;
    this.#limitMs = limitMs;
    this.#start = clockOf(pid);
    this.#cpu = this.#start.cpu;
  }

  /** Why it must be ended; undefined: it need not. */
  overdue() {
    const now = clockOf(this.#pid);
    const [wall, cpu] = [now.wall - this.#start.wall, now.cpu - this.#start.cpu];
    if (now.rss > MAX_RSS_BYTES) {
      return `memory: ${Math.round(now.rss / 1e6)} MB after ${Math.round(wall)} ms`;
    }
    // Looks are counted, not seconds: when the whole machine stands still, nobody looks either.
    this.#idleLooks = now.cpu === this.#cpu && now.state === 'S' ? this.#idleLooks + 1 : 0;
    this.#cpu = now.cpu;
    const isAsleep = this.#idleLooks * LOOK_MS > this.#limitMs;
    const isSlow = cpu > this.#limitMs || isAsleep || wall > PATIENCE * this.#limitMs;
    return isSlow ? `hangs: no end after ${Math.round(wall)} ms, ${Math.round(cpu)} ms of them computing` : undefined;
  }
}

/** The clock on the wall, and what a process has computed and takes; where the system does not tell, only the first. */
function clockOf(pid) {
  const wall = performance.now();
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    const [state, user, system, rss] = [fields[0], fields[11], fields[12], fields[21]];
    return { wall, cpu: (Number(user) + Number(system)) * TICK_MS, rss: Number(rss) * PAGE_BYTES, state };
  } catch {
    return { wall, cpu: Number.NaN, rss: 0, state: '' };
  }
}
