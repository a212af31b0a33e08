// How fast this machine reads memory now: every thread compares two large equal buffers, which is memcmp. What a
// decode step reads over this is the floor of its time, so measure it in the same minute as the step.
//
//     node bench/bandwidth.mjs [threads]

import { availableParallelism } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const BYTES = 256e6; // far more than any cache holds
const ROUNDS = 5;
const ROUND_MS = 300;

if (isMainThread) {
  await main(Number(process.argv[2] ?? availableParallelism()));
} else {
  read(workerData);
}

async function main(threads) {
  const clock = new Int32Array(new SharedArrayBuffer(4)); // rounds begun
  const workers = Array.from({ length: threads }, () => new Worker(new URL(import.meta.url), { workerData: clock }));
  await Promise.all(workers.map(next)); // each has its buffers
  const rates = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const results = Promise.all(workers.map(next));
    Atomics.store(clock, 0, round);
    Atomics.notify(clock, 0);
    rates.push((await results).reduce((sum, rate) => sum + rate));
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  rates.sort((a, b) => a - b);
  const gigabytes = (rate) => Math.round(rate / 1e7) / 100;
  const [median, best] = [rates[ROUNDS >> 1], rates.at(-1)].map(gigabytes);
  console.log(JSON.stringify({ threads, gb_per_s_median: median, gb_per_s_best: best }));
}

function next(worker) {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

/** Bytes a second, once for every round. */
function read(clock) {
  const [a, b] = [1, 2].map(() => Buffer.alloc(BYTES, 1));
  parentPort.postMessage(0);
  for (let round = 1; round <= ROUNDS; round++) {
    Atomics.wait(clock, 0, round - 1);
    const start = performance.now();
    let bytes = 0;
    while (performance.now() - start < ROUND_MS) {
      a.equals(b);
      bytes += 2 * BYTES;
    }
    parentPort.postMessage((1000 * bytes) / (performance.now() - start));
  }
}
