// Can the colours be read on a dark and on a light background, and told apart by everybody? Contrast as WCAG 2 defines it;
// what is seen without red, green or blue by Machado, Oliveira and Fernandes (2009), their matrices at severity 1.

import { Chalk } from 'chalk';
import { describe, expect, it } from 'vitest';
import { colorName, colorOfPlace, colorOfProbability, ink, SCALE } from '../../../src/cli/shell/palette.js';

type Rgb = readonly [number, number, number];

const COLORS = SCALE.map(({ color }) => color);

/** What is seen, of linear red, green and blue. */
const SEEN: Readonly<Record<string, readonly Rgb[]>> = {
  'all colours': [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  'no red': [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  'no green': [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  'no blue': [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

function linear(channel: number): number {
  const c = channel / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
}

function ofHex(hex: string): Rgb {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => linear(Number.parseInt(hex.slice(at, at + 2), 16)));
  return [r, g, b];
}

/** Of the cube and the greys that all terminals of 256 colours have. */
function of256(n: number): Rgb {
  const steps = [0, 95, 135, 175, 215, 255];
  const cube = (place: number) => linear(steps[place % 6] as number);
  const grey = linear(8 + 10 * (n - 232));
  return n >= 232
    ? [grey, grey, grey]
    : [cube(Math.floor((n - 16) / 36)), cube(Math.floor((n - 16) / 6)), cube(n - 16)];
}

function luminance([r, g, b]: Rgb): number {
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: Rgb, b: Rgb): number {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

/** CIE L*a*b*, in which distances are as large as they are seen. */
function lab([r, g, b]: Rgb): Rgb {
  const f = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
  const y = f(luminance([r, g, b]));
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

function seen(color: Rgb, matrix: readonly Rgb[]): Rgb {
  const [r = 0, g = 0, b = 0] = matrix.map((row) => {
    const sum = row.reduce((total, share, i) => total + share * (color[i] as number), 0);
    return Math.min(1, Math.max(0, sum));
  });
  return lab([r, g, b]);
}

const FORMS = { '24 bit': COLORS.map(({ hex }) => ofHex(hex)), '256 colours': COLORS.map((c) => of256(c.ansi256)) };

describe.each(Object.entries(FORMS))('%s', (_, colors) => {
  it.each(['#ffffff', '#1e1e1e', '#000000'])('are read on %s: contrast of 3 or more', (background) => {
    for (const color of colors) {
      expect(contrast(color, ofHex(background))).toBeGreaterThanOrEqual(3);
    }
  });

  it.each(Object.entries(SEEN))('differ for who sees %s: each pair by 25 or more', (_, matrix) => {
    const all = colors.map((color) => seen(color, matrix));
    for (const [i, a] of all.entries()) {
      for (const b of all.slice(i + 1)) {
        expect(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])).toBeGreaterThanOrEqual(25);
      }
    }
  });
});

describe('16 colours', () => {
  it('are names of the terminal; the last differs by its line', () => {
    const chalk = new Chalk({ level: 1 });
    expect(COLORS.map((color) => ink(color, chalk)('x'))).toEqual([
      '\u001b[94mx\u001b[39m',
      '\u001b[90mx\u001b[39m',
      '\u001b[91mx\u001b[39m',
      '\u001b[91m\u001b[4mx\u001b[24m\u001b[39m',
    ]);
    expect(COLORS.map((color) => colorName(color, chalk))).toEqual(['blue', 'grey', 'red', 'red underlined']);
  });
});

it('from likely to unlikely, limits included', () => {
  const names = [1, 0.5, 0.4999, 0.1, 0.0999, 0.01, 0.00999, 0].map((p) => colorOfProbability(p).name);
  expect(names).toEqual(['blue', 'blue', 'grey', 'grey', 'brown', 'brown', 'pink', 'pink']);
});

it('neighbours by place differ, also where it begins again', () => {
  expect([0, 1, 2, 3, 4].map((place) => colorOfPlace(place).name)).toEqual(['blue', 'brown', 'grey', 'pink', 'blue']);
});
