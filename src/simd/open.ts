// Opens a model on the WebAssembly engine: plans its memory, starts the threads, and loads the weights meanwhile.

import { availableParallelism } from 'node:os';
import type { Engine } from '../engine/engine.js';
import { KvgenError, UsageError } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import { valueCount } from '../weights/tensor-values.js';
import type { NamedTensor } from '../weights/weight-file.js';
import { BlockPool, blockShape } from './blocks.js';
import { compileKernels, type Pointer } from './kernels.js';
import { gigabytes, LinearMemory, MAX_BYTES, MemoryPlan } from './linear-memory.js';
import { Loader } from './load-weights.js';
import { type Matrix, matrixBytes, planMatrix, type WeightKind } from './matrix.js';
import { PASSES } from './passes.js';
import { SimdEngine } from './simd-engine.js';
import type { ModelPlan, Place, SimdArchitecture, SimdModel } from './simd-model.js';
import { Team } from './team.js';

export interface SimdOptions {
  readonly threads?: number | undefined;
  readonly weights: WeightKind;
}

/** More threads than this gain nothing: they wait for each other four times a layer. */
const MOST_THREADS = 8;

/**
 * How many threads will work: the asked number, else one for each core, as far as each has a head of its own.
 * @throws UsageError for more than the machine has cores
 */
export function simdThreads({ nHead }: ModelConfig, asked: number | undefined): number {
  const cores = availableParallelism();
  if (asked !== undefined && asked > cores) {
    throw new UsageError(
      `--threads must be from 1 to ${cores}, the cores of this machine, on the simd backend, got ${asked}`,
    );
  }
  return asked ?? Math.min(cores, nHead, MOST_THREADS);
}

/**
 * Starts the threads and loads the weights; after an error no thread is left.
 * @throws KvgenError when the model does not fit, a tensor is wrong, or a thread fails
 */
export async function openSimd(
  config: ModelConfig,
  weights: AsyncIterable<NamedTensor> | Iterable<NamedTensor>,
  options: SimdOptions,
): Promise<Engine> {
  const passes = PASSES[config.modelType];
  if (passes === undefined) {
    throw new KvgenError(`the simd engine has no forward pass for model_type ${config.modelType}`);
  }
  const threads = simdThreads(config, options.threads);
  const { memory, model } = planModel(passes, config, options.weights, threads);
  for (const [at, numbers] of passes.constants?.(model.plan, config) ?? []) {
    memory.floats(at, numbers.length).set(numbers);
  }
  const team = new Team(await compileKernels(), memory, model, threads);
  try {
    const [{ head, parameters }] = await Promise.all([
      loadWeights(new Loader(memory, team), weights, memory, model, passes),
      team.ready(),
    ]);
    return new SimdEngine(model, head, parameters, team, new BlockPool(model.blocks, memory));
  } catch (error) {
    team.stop();
    throw error;
  }
}

function planModel(
  passes: SimdArchitecture,
  config: ModelConfig,
  kind: WeightKind,
  threads: number,
): { memory: LinearMemory; model: SimdModel } {
  const bytes = (weights: WeightKind) => bytesNeeded(passes, config, weights, threads);
  const needed = bytes(kind);
  if (needed > MAX_BYTES) {
    const smaller = kind === 'float32' && bytes('int8') <= MAX_BYTES ? '--weights int8' : 'a smaller model';
    const what = `in ${kind} the model needs ${gigabytes(needed)} GB of memory`;
    throw new KvgenError(`${what}, and WebAssembly has ${gigabytes(MAX_BYTES)} GB: ${smaller} would fit`);
  }
  const plan = passes.plan(new MemoryPlan(), config, kind, threads);
  return { memory: new LinearMemory(needed), model: { config, plan, blocks: blockShape(config) } };
}

/** Every layer takes the same, so that one and two tell of all: a broken config.json may ask for any number of layers. */
function bytesNeeded(passes: SimdArchitecture, config: ModelConfig, kind: WeightKind, threads: number): number {
  const [one, two] = [1, 2].map((nLayer) => {
    const plan = new MemoryPlan();
    passes.plan(plan, { ...config, nLayer }, kind, threads);
    return plan.end;
  }) as [number, number];
  return one + (config.nLayer - 1) * (two - one);
}

/** @returns what gives the logits, and how many numbers the weights have */
async function loadWeights(
  loader: Loader,
  weights: AsyncIterable<NamedTensor> | Iterable<NamedTensor>,
  memory: LinearMemory,
  { config, plan }: SimdModel,
  passes: SimdArchitecture,
): Promise<{ head: Matrix; parameters: number }> {
  const places = passes.places(plan, config);
  let head = plan.wte;
  let parameters = 0;
  for await (const tensor of weights) {
    const place = places.get(tensor.name);
    if (place !== undefined) {
      await loader.load(tensor, place);
      parameters += valueCount(tensor.shape);
    } else {
      head = await loadHead(loader, tensor, memory, places.get(passes.vocabulary.embedding) as Place, plan);
      parameters += head === plan.wte ? 0 : valueCount(tensor.shape);
    }
  }
  return { head, parameters };
}

/** As in transformers 5 a stored lm_head is used even where the config says tied. An equal copy of the embedding is dropped. */
async function loadHead(
  loader: Loader,
  tensor: NamedTensor,
  memory: LinearMemory,
  embedding: Place,
  { wte }: ModelPlan,
): Promise<Matrix> {
  const kind = wte.scales === 0 ? 'float32' : 'int8';
  const matrix = planMatrix(memory, kind, wte.rows, wte.columns);
  await loader.load(tensor, { ...embedding, matrix } as Place);
  if (!sameBytes(memory, matrix, wte)) {
    return matrix;
  }
  memory.release(matrix.at);
  return wte;
}

function sameBytes(memory: LinearMemory, a: Matrix, b: Matrix): boolean {
  const bytes = (at: Pointer, length: number) => Buffer.from(memory.memory.buffer, at, length);
  const same = (one: Pointer, other: Pointer, length: number) => bytes(one, length).equals(bytes(other, length));
  return same(a.at, b.at, matrixBytes(a)) && (a.scales === 0 || same(a.scales, b.scales, 4 * a.rows));
}
