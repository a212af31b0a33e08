// Node's fetch gives up after 300 seconds without headers or between two pieces of a body, and has no option for it: the
// options are those of the agent that it is given. Its own class of agents is found where fetch itself looks for its agent.
// Reference: `Agent` and `setGlobalDispatcher` of undici, which is in Node.

const PLACE = Symbol.for('undici.globalDispatcher.1');

type Agent = new (options: { headersTimeout: number; bodyTimeout: number }) => object;

let init: object | undefined;

/** What makes fetch wait for as long as the caller does; nothing where this Node has no such agent. */
export function unlimited(): object {
  if (init === undefined) {
    new Headers(); // loads what fetch is made of
    const found = (globalThis as { [PLACE]?: object })[PLACE]?.constructor as Agent | undefined;
    init = found === undefined ? {} : { dispatcher: new found({ headersTimeout: 0, bodyTimeout: 0 }) };
  }
  return init;
}
