// Makes a thread of the WebAssembly engine fail, in a process of its own, since a team that hangs cannot be interrupted:
//   node failing-team.mjs <case> <model folder>
// prints the message of each pass or job after the other as JSON, once no worker is left.

import { once } from 'node:events';

const dist = (path) => import(new URL(`../../dist/${path}`, import.meta.url));
const [, , name, dir] = process.argv;
const workers = [];
process.on('worker', (worker) => workers.push(worker));

const messageOf = (work) => {
  try {
    work();
    return 'nothing failed';
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};

/** A model whose activation no kernel knows, so that every thread traps at the same point. */
async function failingPasses(threads) {
  const { openSimd } = await dist('simd/open.js');
  const { loadShape, readTensors } = await dist('weights/folder.js');
  const { ModelFolder } = await dist('files/model-folder.js');
  const folder = new ModelFolder(dir);
  const shape = await loadShape(folder);
  const config = { ...shape.config, activation: 'none' };
  const engine = await openSimd(config, readTensors(folder, shape), { threads, weights: 'float32' });
  const pass = () => engine.forward({ ids: [[1, 2, 3]], wanted: [2] }, null);
  return [pass, pass, pass];
}

/** A team of two without weights that lays out rows, the second time from where no memory is. */
async function failingJobs(rows) {
  const { Team } = await dist('simd/team.js');
  const { layJob } = await dist('simd/jobs.js');
  const { LinearMemory } = await dist('simd/linear-memory.js');
  const { compileKernels } = await dist('simd/kernels.js');
  const { planMatrix } = await dist('simd/matrix.js');
  const memory = new LinearMemory(65_536);
  const matrix = planMatrix(memory, 'float32', 16, 16);
  const stage = memory.reserve(4 * 16 * 16);
  const team = new Team(await compileKernels(), memory, {}, 2);
  await team.ready();
  const sound = () => team.run(layJob(stage, 'rows', 16, matrix));
  const broken = () => team.run(layJob(2 ** 32 - 256, 'rows', rows, matrix));
  return [sound, broken, sound];
}

const CASES = {
  all: () => failingPasses(2),
  alone: () => failingPasses(1),
  /** Four rows are one share, which the last thread takes. */
  worker: () => failingJobs(4),
  /** Of eight, its four lie at the end of all addresses, and those of the other begin behind, at 0 again. */
  main: () => failingJobs(8),
};

const messages = (await CASES[name]()).map(messageOf);
const alive = setInterval(() => {}, 1000); // workers do not keep a process alive
await Promise.all(workers.map((worker) => (worker.threadId === -1 ? undefined : once(worker, 'exit'))));
clearInterval(alive);
process.stdout.write(JSON.stringify({ messages, workers: workers.length }));
