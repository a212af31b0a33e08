// The documents: what they link to is there, and their pictures show wherever a page shows them as images, without a script,
// a font or anything else from elsewhere.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const list = (dir: string, end: string) => readdirSync(join(ROOT, dir)).filter((name) => name.endsWith(end));
const DOCUMENTS = [...list('.', '.md'), ...list('docs', '.md').map((name) => `docs/${name}`)];
const PICTURES = list('docs', '.svg').map((name) => `docs/${name}`);

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** Without the code, in which brackets are no links. */
function prose(document: string): string {
  return read(document)
    .replace(/^```[\s\S]*?^```/gm, '')
    .replace(/`[^`\n]*`/g, '`');
}

function links(document: string): string[] {
  const found = [...prose(document).matchAll(/\]\(([^()\s]+)\)|(?:src|href|srcset)="([^"]+)"/g)];
  return found.map(([, link, attribute]) => link ?? attribute ?? '').filter((link) => !/^[a-z]+:/.test(link));
}

/** The name that a heading gets on GitHub. */
function anchors(document: string): string[] {
  const headings = read(document)
    .replace(/^```[\s\S]*?^```/gm, '')
    .matchAll(/^#+ (.*)$/gm);
  return Array.from(headings, ([, words = '']) =>
    words
      .toLowerCase()
      .replace(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(DOCUMENTS)('%s', (document) => {
  it('links to what is there', () => {
    const broken = links(document).filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : join(dirname(document), path);
      return !existsSync(join(ROOT, target)) || (anchor !== undefined && !anchors(target).includes(anchor));
    });
    expect(broken).toEqual([]);
  });
});

/** Tags that are not closed in their order, and characters that should be escaped. */
function faults(xml: string): string[] {
  const open: string[] = [];
  const found: string[] = [];
  for (const [tag, end, name = '', attributes = '', empty] of xml.matchAll(
    /<(\/?)(\w+)((?:[^<>"]|"[^"<]*")*?)(\/?)>/g,
  )) {
    if (end !== '' && open.pop() !== name) {
      found.push(tag);
    } else if (end === '' && empty === '') {
      open.push(name);
    }
    found.push(...(attributes.replace(/\s+[\w:-]+="[^"]*"/g, '').trim() === '' ? [] : [attributes]));
  }
  const text = xml.replace(/<(\/?)(\w+)((?:[^<>"]|"[^"<]*")*?)(\/?)>/g, '');
  return [...found, ...open, ...(text.match(/<|&(?!(?:amp|lt|gt|quot|#\d+);)/g) ?? [])];
}

describe.each(PICTURES)('%s', (picture) => {
  const svg = read(picture);

  it('is well-formed, with a title, and of at most 150 kB', () => {
    expect(faults(svg)).toEqual([]);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="[\d. ]+" [^>]*role="img"/);
    expect(svg).toMatch(/<title[^>]*>[^<]+<\/title>/);
    expect(svg.length).toBeLessThanOrEqual(150_000);
  });

  it('needs nothing from elsewhere and runs nothing', () => {
    expect(
      svg.match(/<(script|foreignObject|image|use|a|iframe|animate\w*|set)\b|\son\w+=|@import|url\(|\bhref=/g),
    ).toBeNull();
    expect(svg.replace('xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(/\/\//);
  });

  it('moves only where that is wanted', () => {
    const still = svg.replace(/@media \(prefers-reduced-motion: no-preference\) \{[^}]*\}\s*\}/g, '');
    expect(still).not.toMatch(/animation:|animation-name|transition/);
  });
});

it('the recording is of text, in the colours of tokens', () => {
  const svg = read('docs/terminal.svg');
  for (const color of ['#3078fc', '#78786c', '#a87800', '#d43cb0']) {
    expect(svg).toMatch(new RegExp(`<tspan [^>]*fill="${color}"[^>]*>[^<]+</tspan>`));
  }
  expect(svg).toMatch(/>\$ kvgen --color-by-probability [^<]*--no-cache[^<]*<\/tspan>/);
  expect(svg.match(/>\d+ tokens · \d+ tok\/s · [^<]*</g)).toHaveLength(2);
});
