// All heads small: a picture of the whole text's attention for each, and the choice of one, by arrows too.

import { type AttentionTable, WHOLE } from '../attention-table.js';
import { byId, make, onRecolour } from './elements.js';

/** Pixels of a picture at most; of a longer text several positions share one. */
const MOST_PIXELS = 96;
/** Heads of a layer that have room to be large. */
const MOST_LARGE = 14;

export interface HeadGrid {
  /** Shows which head is chosen; a mean of several is none. */
  mark(layer: number, head: number): void;
}

export function headGrid(table: AttentionTable, choose: (layer: number, head: number) => void): HeadGrid {
  const { layers, heads } = table.shape;
  const grid = byId('heads');
  const buttons: HTMLButtonElement[] = [];
  if (heads > MOST_LARGE) {
    grid.style.setProperty('--head-size', '36px');
  }
  for (let layer = 0; layer < layers; layer++) {
    const line = make('div', 'head-row', make('span', 'head-layer', `layer ${layer}`));
    for (let head = 0; head < heads; head++) {
      buttons.push(headButton(layer, head));
      line.append(buttons.at(-1) as HTMLButtonElement);
    }
    grid.append(line);
  }
  buttons[0]?.setAttribute('tabindex', '0');
  buttons.forEach((button, at) => {
    button.addEventListener('click', () => choose(Math.floor(at / heads), at % heads));
    button.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -heads, ArrowDown: heads }[event.key];
      const next = step === undefined ? undefined : buttons[at + step];
      if (next !== undefined) {
        event.preventDefault();
        next.focus();
        next.click();
      }
    });
  });
  const drawPictures = () => drawAll(table, buttons);
  setTimeout(drawPictures); // behind what the reader sees first
  onRecolour(drawPictures);
  return { mark: (layer, head) => mark(buttons, layer < 0 || head < 0 ? -1 : layer * heads + head) };
}

function headButton(layer: number, head: number): HTMLButtonElement {
  const button = make('button', 'head', make('canvas', ''));
  button.type = 'button';
  button.setAttribute('role', 'radio');
  button.setAttribute('aria-checked', 'false');
  button.setAttribute('aria-label', `Layer ${layer}, head ${head}`);
  button.tabIndex = -1;
  return button;
}

function mark(buttons: readonly HTMLButtonElement[], chosen: number): void {
  buttons.forEach((button, at) => {
    button.setAttribute('aria-checked', String(at === chosen));
    button.tabIndex = at === Math.max(0, chosen) ? 0 : -1;
  });
}

function drawAll(table: AttentionTable, buttons: readonly HTMLButtonElement[]): void {
  const { heads, rows } = table.shape;
  const ink = getComputedStyle(document.documentElement).getPropertyValue('--heat-ink').trim().split(' ').map(Number);
  const size = Math.max(1, Math.min(rows, MOST_PIXELS));
  buttons.forEach((button, at) => {
    const canvas = button.firstElementChild as HTMLCanvasElement;
    [canvas.width, canvas.height] = [size, size];
    const context = canvas.getContext('2d');
    if (context !== null) {
      const image = new ImageData(picture(table, Math.floor(at / heads), at % heads, size, ink), size, size);
      context.putImageData(image, 0, 0);
    }
  });
}

/** Ink as dense as the root of the largest weight of a pixel, so that small ones are seen. */
function picture(table: AttentionTable, layer: number, head: number, size: number, ink: readonly number[]) {
  const { rows } = table.shape;
  const pixels = new Uint8ClampedArray(4 * size * size);
  const scale = size / rows;
  for (let query = 0; query < rows; query++) {
    const line = Math.floor(query * scale) * size;
    table.forEach(layer, head, query, (position, weight) => {
      const at = 4 * (line + Math.floor(position * scale));
      const density = Math.round(255 * Math.sqrt(weight / WHOLE));
      if (density > (pixels[at + 3] as number)) {
        [pixels[at], pixels[at + 1], pixels[at + 2], pixels[at + 3]] = [ink[0] ?? 0, ink[1] ?? 0, ink[2] ?? 0, density];
      }
    });
  }
  return pixels;
}
