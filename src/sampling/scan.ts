// Finds high scores among many. All but a few scores are below what was found before, so those are passed over eight at
// a time.

export type Scores = Float32Array | Float64Array;

/** The first id from `from` on whose score is above `floor` or NaN; scores.length: there is none. */
export function nextAbove(scores: Scores, floor: number, from: number): number {
  const { length } = scores;
  let id = from;
  while (id + 8 <= length && eightWithin(scores, floor, id)) {
    id += 8;
  }
  while (id < length && (scores[id] as number) <= floor) {
    id++;
  }
  return id;
}

/** Are the eight scores from `id` on at most `floor`? */
function eightWithin(scores: Scores, floor: number, id: number): boolean {
  return (
    (scores[id] as number) <= floor &&
    (scores[id + 1] as number) <= floor &&
    (scores[id + 2] as number) <= floor &&
    (scores[id + 3] as number) <= floor &&
    (scores[id + 4] as number) <= floor &&
    (scores[id + 5] as number) <= floor &&
    (scores[id + 6] as number) <= floor &&
    (scores[id + 7] as number) <= floor
  );
}

/** The id of the highest score, the lowest id if several share it; −1 if a score is NaN. */
export function argmax(scores: Scores): number {
  let best = 0;
  let max = Number.NEGATIVE_INFINITY;
  for (let id = nextAbove(scores, max, 0); id < scores.length; id = nextAbove(scores, max, id + 1)) {
    best = id;
    max = scores[id] as number;
    if (Number.isNaN(max)) {
      return -1;
    }
  }
  return best;
}
