// Text on every colour of the page can be read, light and dark: contrast as WCAG has it, from the style sheet alone.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const CSS = readFileSync(new URL('../../src/view/page/page.css', import.meta.url), 'utf8');
const [LIGHT = '', DARK = ''] = [...CSS.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => block);

/** The variables of a scheme. */
function colours(block: string): Map<string, string> {
  return new Map(
    [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name as string, value as string]),
  );
}

function luminance(hex: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(a: string, b: string): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** Rules `.p3 { background: var(--p3); color: var(--on-likely) }`, and those without a colour, which have the page's. */
function pairs(): [background: string, text: string][] {
  const rules = [
    ...CSS.matchAll(/\.([ph]\d) \{\n {2}background: var\(--(\w+)\);\n(?: {2}color: var\(--([\w-]+)\);\n)?\}/g),
  ];
  return rules.map(([, , background, text]) => [background as string, text ?? 'text']);
}

describe.each([
  ['light', LIGHT],
  ['dark', DARK],
])('%s', (_, block) => {
  const colour = (name: string) => colours(block).get(name) as string;

  it('every step of probability and of attention carries its text', () => {
    expect(pairs()).toHaveLength(16);
    const ratios = pairs().map(([background, text]) => [background, contrast(colour(background), colour(text))]);
    expect(ratios.filter(([, ratio]) => (ratio as number) < 4.5)).toEqual([]);
  });

  it('so do the page and its panels', () => {
    for (const background of ['paper', 'panel']) {
      for (const text of ['text', 'soft', 'accent']) {
        expect(contrast(colour(background), colour(text))).toBeGreaterThan(4.5);
      }
    }
  });

  it('steps go one way in lightness, so that they tell apart without colour', () => {
    for (const scale of ['p', 'h']) {
      const steps = pairs().filter(([background]) => background.startsWith(scale));
      const lightness = steps.map(([background]) => luminance(colour(background)));
      const sorted = [...lightness].sort((a, b) => (block === LIGHT ? b - a : a - b));
      expect(lightness).toEqual(sorted);
    }
  });

  it('sources of keys and values stand out from the page', () => {
    for (const source of ['disk', 'memory', 'computed', 'decode', 'uncached']) {
      expect(contrast(colour('paper'), colour(source))).toBeGreaterThan(3);
    }
  });
});
