// Elements of the page: found, and made of text alone, never of markup.

import type { Said } from '../number-words.js';
import type { Piece } from '../visible-text.js';

export function byId<T extends Element = HTMLElement>(id: string): T {
  return document.getElementById(id) as unknown as T;
}

type Child = Node | string;

/** An element with a class and what is in it. Strings become text. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

export function draw<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | number>>,
): SVGElementTagNameMap[K] {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, String(value));
  }
  return element;
}

/** Calls when the page's colours change: with the scheme, and for paper, which is light. */
export function onRecolour(redraw: () => void): void {
  for (const query of ['(prefers-color-scheme: dark)', 'print']) {
    matchMedia(query).addEventListener('change', redraw);
  }
}

/** Text of a model: isolated, with its marks told apart. */
export function piecesElement(pieces: readonly Piece[]): HTMLElement {
  const children = pieces.map(({ text, isMark }) => (isMark ? make('i', 'mark', text) : text));
  return make('bdi', '', ...children);
}

/** A rounded number with its exact value as a title. */
export function number({ words, exact }: Said): HTMLElement {
  const element = make('span', 'number', words);
  element.title = exact;
  return element;
}

export function row(head: string, ...cells: readonly Child[]): HTMLTableRowElement {
  const title = make('th', '', head);
  title.scope = 'row';
  return make('tr', '', title, ...cells.map((cell) => make('td', '', cell)));
}
