// What a model is computed on: the backend, the form of the weights and the threads, settled from what was asked for and
// what is installed. No engine is loaded for it. Knows nothing of how a model is opened.

import { type BackendChoice, type BackendName, checkChoice, type WeightsName } from '../backends.js';
import { KvgenError } from '../errors.js';
import type { ModelShape } from '../model/architectures.js';
import { autoBackend, installedEngine, tensorflowThreads } from '../native/status.js';
import { GENERATE } from '../settings.js';

export interface Machine {
  readonly backend: BackendName;
  /** How many threads compute at the same time. */
  readonly threads: number;
  readonly weights: WeightsName;
}

/** For people, such as `node, graph, 2 threads`. @param engine how it runs, where the backend can run in several ways */
export function machineWords({ backend, threads, weights }: Machine, engine: string = backend): string {
  const name = engine === backend ? backend : `${backend}, ${engine}`;
  const words = `${name}, ${threads} thread${threads === 1 ? '' : 's'}`;
  return weights === 'float32' ? words : `${words}, ${weights} weights`;
}

/** What is known of a model before its weights are loaded. */
export interface ModelFacts {
  /** Its folder. */
  readonly dir: string;
  readonly shape: ModelShape;
  /** Size of the stored weights. */
  readonly bytes: number;
  /** How the weights are stored; it decides where nothing else is said. */
  readonly stored: WeightsName;
}

export interface MachineChoice extends BackendChoice {
  /** false: keys and values are not kept, so that no pass is worth capturing. */
  readonly cache?: boolean | undefined;
}

/**
 * @throws UsageError for what cannot go together, or more threads than there can be
 * @throws KvgenError where the engine that was asked for is not installed, or does not compute with these weights
 */
export async function machineFor(facts: ModelFacts, choice: MachineChoice): Promise<Machine> {
  const { shape, bytes } = facts;
  const { threads } = choice;
  const { backend, weights } = resolveBackend(choice, facts);
  switch (backend) {
    case 'node':
      installedEngine();
      return {
        backend,
        threads: tensorflowThreads({ threads, modelBytes: bytes, graph: wantsGraph(choice) }),
        weights,
      };
    case 'simd': {
      const { simdThreads } = await import('../simd/open.js');
      return { backend, threads: simdThreads(shape.config, threads), weights };
    }
    case 'cpu':
      return { backend, threads: 1, weights };
  }
}

/** Only simd computes with int8 weights: those that are stored so, or asked for, choose it. */
export function resolveBackend(
  choice: BackendChoice,
  { dir, stored }: Pick<ModelFacts, 'dir' | 'stored'>,
): Pick<Machine, 'backend' | 'weights'> {
  checkChoice(choice);
  const { backend: asked = 'auto', engine = 'auto', weights = stored } = choice;
  const obstacle = stored === 'int8' ? obstacleToInt8(choice) : undefined;
  if (obstacle !== undefined) {
    const what = `its weights are int8, which needs --backend simd and --weights int8, found ${obstacle}`;
    throw new KvgenError(`${dir}: ${what}; leave that out, or name the folder that it was made from`);
  }
  const backend = asked !== 'auto' ? asked : weights === 'int8' ? 'simd' : autoBackend();
  if (backend === 'simd' && engine !== 'auto') {
    throw new KvgenError(`--engine ${engine} needs the node backend, found simd; run \`kvgen setup\``);
  }
  return { backend, weights: backend === 'simd' ? weights : 'float32' };
}

/** What was asked for and does not compute with int8 weights, and the variable that may have asked for it. */
function obstacleToInt8({ backend = 'auto', engine = 'auto', weights = 'int8' }: BackendChoice): string | undefined {
  if (backend === 'node' || backend === 'cpu') {
    return `--backend ${backend} (perhaps from ${GENERATE.backend.env})`;
  }
  if (weights === 'float32') {
    return `--weights float32 (perhaps from ${GENERATE.weights.env})`;
  }
  return engine === 'auto' ? undefined : `--engine ${engine}`;
}

/** May passes be captured? */
export function wantsGraph({ engine, cache = true }: MachineChoice): boolean {
  return cache && engine !== 'eager';
}
