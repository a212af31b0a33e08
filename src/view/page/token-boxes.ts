// The boxes of the text: pointing at one shows its details, choosing one chooses it for the whole page. One of them is in the
// order of tabs, and arrows go from there.

import type { Choice } from './choice.js';
import { stepByKey } from './choice-bar.js';
import { byId } from './elements.js';

export function tokenBoxes(choice: Choice, show: (position: number) => void): void {
  const list = byId('tokens');
  const boxes = [...list.querySelectorAll<HTMLElement>('.token')];
  list.setAttribute('role', 'listbox');
  list.setAttribute('aria-label', 'Tokens');
  list.setAttribute('aria-orientation', 'horizontal');
  for (const box of boxes) {
    box.setAttribute('role', 'option');
    box.setAttribute('aria-selected', 'false');
    box.removeAttribute('title'); // the details say it
    box.tabIndex = -1;
  }
  const positionOf = (target: EventTarget | null) =>
    boxes.indexOf((target instanceof Element ? target.closest('.token') : null) as HTMLElement);
  const listen = (type: string, act: (position: number) => void) =>
    list.addEventListener(type, ({ target }) => {
      const position = positionOf(target);
      if (position >= 0) {
        act(position);
      }
    });
  listen('pointerover', show);
  listen('click', (position) => choice.choose(position));
  for (const type of ['pointerover', 'focusin']) {
    list.addEventListener(type, () => list.parentElement?.classList.add('engaged'), { once: true });
  }
  list.addEventListener('pointerleave', () => show(choice.position));
  list.addEventListener('keydown', (event) => {
    const line = event.key === 'ArrowUp' ? -1 : event.key === 'ArrowDown' ? 1 : 0;
    const acted = line === 0 ? stepByKey(inReadingOrder(event.key, list.dir), choice) : stepByLine(boxes, choice, line);
    if (acted) {
      event.preventDefault();
    }
  });
  showChosen(list, boxes, choice, show);
}

function showChosen(
  list: HTMLElement,
  boxes: readonly HTMLElement[],
  choice: Choice,
  show: (at: number) => void,
): void {
  let chosen: HTMLElement | undefined;
  choice.onChange((position) => {
    const hadFocus = list.contains(document.activeElement);
    chosen?.setAttribute('aria-selected', 'false');
    chosen?.setAttribute('tabindex', '-1');
    chosen = boxes[position];
    chosen?.setAttribute('aria-selected', 'true');
    chosen?.setAttribute('tabindex', '0');
    if (hadFocus) {
      chosen?.focus();
      chosen?.scrollIntoView({ block: 'nearest' }); // not below the details
    }
    show(position);
  });
}

/** Where a text runs to the left, the arrow to the left is the one to the next token. */
function inReadingOrder(key: string, direction: string): string {
  const mirrored: Readonly<Record<string, string>> = { ArrowLeft: 'ArrowRight', ArrowRight: 'ArrowLeft' };
  return direction === 'rtl' ? (mirrored[key] ?? key) : key;
}

/** To the box of the line above or below that is nearest. */
function stepByLine(boxes: readonly HTMLElement[], choice: Choice, line: -1 | 1): boolean {
  const from = boxes[choice.position]?.getBoundingClientRect();
  if (from === undefined) {
    return false;
  }
  const middle = (from.left + from.right) / 2;
  let best = choice.position;
  let [bestTop, bestDistance] = [0, Number.POSITIVE_INFINITY];
  for (let at = choice.position + line; at >= 0 && at < boxes.length; at += line) {
    const place = (boxes[at] as HTMLElement).getBoundingClientRect();
    const isOther = line > 0 ? place.top >= from.bottom - 4 : place.bottom <= from.top + 4;
    if (isOther && bestDistance < Number.POSITIVE_INFINITY && Math.abs(place.top - bestTop) > 4) {
      break; // the line after the next
    }
    const distance = Math.abs((place.left + place.right) / 2 - middle);
    if (isOther && distance < bestDistance) {
      [best, bestTop, bestDistance] = [at, place.top, distance];
    }
  }
  choice.choose(best);
  return true;
}
