// Text as markup: what a model wrote is never read as tags, attributes, comments or script. Knows nothing of what is written.

import { createHash } from 'node:crypto';
import type { Piece } from './visible-text.js';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text between tags or in a quoted attribute. What a parser would drop or change is U+FFFD. */
export function escapeMarkup(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] as string).replace(/[\0\r]|\p{Cs}/gu, '\ufffd');
}

/** Pieces of a text that comes from a model, isolated from the direction of what stands around them. */
export function piecesMarkup(pieces: readonly Piece[]): string {
  const inner = pieces.map(({ text, isMark }) => {
    const escaped = escapeMarkup(text);
    return isMark ? `<i class="mark">${escaped}</i>` : escaped;
  });
  return `<bdi>${inner.join('')}</bdi>`;
}

/** JSON inside of a script element: nothing in it ends the element or opens a comment. */
export function jsonBlock(id: string, value: unknown): string {
  const json = JSON.stringify(value).replace(
    /[<>&\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `<script type="application/json" id="${id}">${json}</script>`;
}

/** Only this script and this style, and nothing from anywhere. */
export function contentPolicy(script: string, style: string): string {
  return [
    "default-src 'none'",
    `script-src ${sourceHash(script)}`,
    `style-src ${sourceHash(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

function sourceHash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
