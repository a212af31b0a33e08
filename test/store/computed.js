// What a model would compute, made up: the keys and values of a position depend on all ids up to it, so that rows of
// another prompt, or of another place, show. Plain JavaScript, since processes of the store alone run it as well.

const N_LAYER = 2;
const N_HEAD = 2;
const HEAD_DIM = 3;
const VOCAB = 4;

/** The sizes of the model. */
export const SHAPE = { nLayer: N_LAYER, nKvHead: N_HEAD, headDim: HEAD_DIM, vocabSize: VOCAB };

/** After each id a number that all ids so far have made. */
function states(ids) {
  let state = 1;
  return ids.map((id) => {
    state = (state * 31 + id + 7) % 65521;
    return state;
  });
}

function side(values, layer, offset) {
  const rows = new Float32Array(N_HEAD * values.length * HEAD_DIM);
  for (let head = 0; head < N_HEAD; head++) {
    for (const [position, value] of values.entries()) {
      for (let i = 0; i < HEAD_DIM; i++) {
        const number = value + offset + 0.25 * i + 10 * head + 100 * layer;
        rows[(head * values.length + position) * HEAD_DIM + i] = number / 16; // a float16 can hold it
      }
    }
  }
  return rows;
}

/** Positions [from, to) of a prompt. */
export function rowsOf(ids, from = 0, to = ids.length) {
  const values = states(ids).slice(from, to);
  const layers = Array.from({ length: N_LAYER }, (_, layer) => ({
    k: side(values, layer, 0),
    v: side(values, layer, 0.5),
  }));
  return { length: to - from, nKvHead: N_HEAD, headDim: HEAD_DIM, layers };
}

export function logitsOf(ids) {
  const last = states(ids).at(-1);
  return Float32Array.from({ length: VOCAB }, (_, id) => last + id);
}

export function computed(ids) {
  return {
    ids,
    logits: logitsOf(ids),
    words: ids.slice(0, 4).join(' '),
    rowsFrom: (from) => rowsOf(ids, from),
    prefillMs: (from, to) => to - from,
  };
}

/**
 * What is wrong with what was found for a prompt; undefined: nothing.
 * @param round what storing makes of an array of keys or values
 */
export function wrongWith(ids, found, round = (values) => values) {
  const expected = rowsOf(ids, 0, found.reused);
  if (found.reused > ids.length || (found.logits === null && found.reused === ids.length)) {
    return `${found.reused} of ${ids.length} reused, logits ${found.logits}`;
  }
  if (found.reused > 0 && JSON.stringify(plain(found.rows)) !== JSON.stringify(plain(expected, round))) {
    return `other rows at ${found.reused} reused`;
  }
  const logits = found.logits === null ? undefined : [...found.logits].join();
  return logits !== undefined && logits !== [...logitsOf(ids)].join() ? `other logits ${logits}` : undefined;
}

function plain({ length, nKvHead, headDim, layers }, round = (values) => values) {
  return { length, nKvHead, headDim, layers: layers.map(({ k, v }) => [[...round(k)], [...round(v)]]) };
}
