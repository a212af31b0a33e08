// What a tokenizer.json says of how tokens become text again. kvgen puts their bytes one behind the other, and leaves
// what depends on the place of a token to the detokenizer; a decoder that does anything else is refused by name.

import { shown } from '../errors.js';
import type { JsonPart } from './json-part.js';
import { flatten } from './normalizer.js';

/** @throws KvgenError that names a decoder which is not computed */
export function checkDecoder(decoder: JsonPart): void {
  for (const part of flatten(decoder, 'decoders')) {
    const type = part.at('type').text();
    if (type !== 'ByteLevel' && type !== 'Fuse') {
      throw part.unsupported(`the decoder ${shown(type)} is not supported`);
    }
  }
}
