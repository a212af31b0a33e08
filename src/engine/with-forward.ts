// An engine in place of another, which is asked for all but its passes: whoever notes passes gives it a `forward` of his own.

import type { Engine } from './engine.js';

export function withForward(engine: Engine, forward: Engine['forward']): Engine {
  return {
    get name() {
      return engine.name;
    },
    config: engine.config,
    parameters: engine.parameters,
    ragged: engine.ragged,
    passCost: engine.passCost,
    newCache: (positions) => engine.newCache(positions),
    gather: (sources) => engine.gather(sources),
    forward,
    numTensors: () => engine.numTensors(),
    dispose: () => engine.dispose(),
  };
}
