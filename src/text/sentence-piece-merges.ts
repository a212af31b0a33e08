// The merges of byte pair encoding that a model of SentencePiece stands for, which has scores in their place: a piece comes
// from any two pieces that it consists of, the one with the highest score first. Knows nothing of files.
// Reference: `generate_merges` of transformers' convert_slow_tokenizer.py.

/** SentencePiece's own limit is 16 characters, unless it is told another. */
export const LONGEST_MERGED = 256;

interface Merge {
  readonly pair: readonly [left: string, right: string];
  readonly score: number;
  /** Characters of the two. */
  readonly left: number;
  readonly right: number;
}

/**
 * @param ids of all pieces
 * @param scores of those that merging makes, none of them longer than LONGEST_MERGED
 */
export function mergesOf(
  ids: ReadonlyMap<string, number>,
  scores: ReadonlyMap<string, number>,
): (readonly [string, string])[] {
  const merges: Merge[] = [];
  for (const [piece, score] of scores) {
    merges.push(...splits(piece, score, ids));
  }
  merges.sort((a, b) => b.score - a.score || b.left - a.left || b.right - a.right);
  return merges.map(({ pair }) => pair);
}

function splits(piece: string, score: number, ids: ReadonlyMap<string, number>): Merge[] {
  const characters = Array.from(piece);
  const found: Merge[] = [];
  let at = 0;
  for (let i = 1; i < characters.length; i++) {
    at += (characters[i - 1] as string).length;
    const [left, right] = [piece.slice(0, at), piece.slice(at)];
    if (ids.has(left) && ids.has(right)) {
      found.push({ pair: [left, right], score, left: i, right: characters.length - i });
    }
  }
  const id = (token: string) => ids.get(token) as number;
  return found.sort((a, b) => id(a.pair[0]) - id(b.pair[0]) || id(a.pair[1]) - id(b.pair[1]));
}
