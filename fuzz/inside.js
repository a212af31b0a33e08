// Runs a command line of kvgen in this process, which takes a fraction of the time that a process of its own takes, and keeps what it
// writes. stdin is not given.

import { main } from '../dist/cli/main.js';

/**
 * @param {readonly string[]} argv
 * @param {Record<string, string | undefined>} env added to the environment
 * @returns {Promise<import('./contract.js').Ended>}
 */
export async function kvgen(argv, env = {}) {
  const before = { ...process.env };
  const streams = [process.stdout, process.stderr].map((stream) => new Kept(stream));
  Object.assign(process.env, env);
  process.exitCode = undefined;
  try {
    await main(argv);
    const [stdout, stderr] = streams.map(({ text }) => text);
    return { code: process.exitCode, stdout, stderr };
  } finally {
    for (const stream of streams) {
      stream.restore();
    }
    restore(before);
  }
}

/** What is written to a stream, instead of writing it. */
class Kept {
  text = '';
  #stream;
  #write;

  constructor(stream) {
    this.#stream = stream;
    this.#write = stream.write;
    stream.write = (piece) => {
      this.text += piece;
      return true;
    };
  }

  restore() {
    this.#stream.write = this.#write;
    this.#stream.removeAllListeners('error');
  }
}

function restore(env) {
  for (const name of Object.keys(process.env).filter((name) => !(name in env))) {
    delete process.env[name];
  }
  Object.assign(process.env, env);
  process.exitCode = undefined;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.removeAllListeners(signal);
  }
  process.stdin.removeAllListeners('error');
}
