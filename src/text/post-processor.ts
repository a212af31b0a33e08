// What a tokenizer puts around a text: the ids before it, such as a token that begins every text, and those behind it. Knows
// nothing of when that is wanted.
// Reference: huggingface/tokenizers src/processors/template.rs, bert.rs and roberta.rs.

import type { JsonPart } from './json-part.js';
import { flatten } from './normalizer.js';
import { checkId } from './token-ids.js';

export interface Surroundings {
  readonly before: readonly number[];
  readonly behind: readonly number[];
}

/** The id of a token, where the file does not give it. @throws KvgenError where there is none */
type IdOf = (token: JsonPart) => number;

/** More of them than this are no beginning of a text. */
const MOST_PIECES = 64;
const NOTHING: Surroundings = { before: [], behind: [] };

/** @throws KvgenError that names what is not done */
export function readPostProcessor(json: JsonPart, idOf: IdOf): Surroundings {
  const steps = flatten(json, 'processors').map((part) => readStep(part, idOf));
  const some = steps.filter(({ before, behind }) => before.length + behind.length > 0);
  if (some.length > 1) {
    throw json.unsupported('more than one post-processor that adds tokens is not supported');
  }
  return some[0] ?? NOTHING;
}

function readStep(json: JsonPart, idOf: IdOf): Surroundings {
  const type = json.at('type').text();
  switch (type) {
    case 'ByteLevel': // it moves offsets, not ids
      return NOTHING;
    case 'BertProcessing':
    case 'RobertaProcessing':
      return { before: [idOfPair(json.at('cls'))], behind: [idOfPair(json.at('sep'))] };
    case 'TemplateProcessing':
      return readTemplate(json, idOf);
    default:
      throw json.unsupported(`the post-processor ${type} is not supported`);
  }
}

/** A token with its id, as a list of the two. */
function idOfPair(pair: JsonPart): number {
  const [, id] = pair.list();
  if (id === undefined) {
    throw pair.wrong('a token and its id');
  }
  return checkId(id);
}

/** The pieces of `single`: special tokens, and among them the text once, as sequence A. */
function readTemplate(json: JsonPart, idOf: IdOf): Surroundings {
  const single = json.at('single');
  const pieces = single.list();
  const isText = (piece: JsonPart) => piece.object().Sequence !== undefined;
  const at = pieces.findIndex(isText);
  if (pieces.length > MOST_PIECES || at < 0 || pieces.filter(isText).length > 1) {
    throw single.unsupported(`expected at most ${MOST_PIECES} pieces, one of them the text, found ${pieces.length}`);
  }
  const ids = (some: JsonPart[]) => some.flatMap((piece) => idsOf(piece.at('SpecialToken').at('id'), json, idOf));
  return { before: ids(pieces.slice(0, at)), behind: ids(pieces.slice(at + 1)) };
}

function idsOf(token: JsonPart, json: JsonPart, idOf: IdOf): number[] {
  const tokens = json.at('special_tokens');
  const known = tokens.missing ? tokens : tokens.at(token.text());
  return known.missing ? [idOf(token)] : known.at('ids').list().map(checkId);
}

/**
 * A template that puts these tokens around a text, as a tokenizer.json says it.
 * @param ids of tokens that need not have those of the vocabulary
 */
export function templateOf(
  before: readonly string[],
  behind: readonly string[],
  ids: ReadonlyMap<string, number> = new Map(),
): object {
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const single = [...before.map(special), { Sequence: { id: 'A', type_id: 0 } }, ...behind.map(special)];
  const known = [...before, ...behind].flatMap((content) => {
    const id = ids.get(content);
    return id === undefined ? [] : [[content, { id: content, ids: [id], tokens: [content] }]];
  });
  return { type: 'TemplateProcessing', single, special_tokens: Object.fromEntries(known) };
}
