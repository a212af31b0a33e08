// The page as a file: what is in its markup, what its policy allows, how large it is. In a browser: test/browser/.

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { pageOf } from '../../src/view/page.js';
import { syntheticRun } from './synthetic-run.js';

const HOSTILE = [
  '<script>window.hacked = 1</script>',
  '</script><img src=x onerror="window.hacked=1">',
  '<!--',
  '-->',
  ']]>',
  '" onmouseover="window.hacked=1',
  "' autofocus onfocus='window.hacked=1",
  '\u001b[31m',
  '\u202eevil\u202c',
  '\0',
  '\ud800',
  '\u200b',
  '\u2028',
  '&amp;',
  '\r',
  'x'.repeat(10_000),
];

const sha256 = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
const elements = (page: string, tag: string) => [
  ...page.matchAll(new RegExp(`<${tag}(?: [^>]*)?>([\\s\\S]*?)</${tag}>`, 'g')),
];

describe('the file', () => {
  const page = pageOf(syntheticRun());

  it('allows its own script and style and nothing else', () => {
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1];
    const [style] = elements(page, 'style');
    const script = elements(page, 'script').at(-1);
    expect(policy).toBe(
      `default-src 'none'; script-src ${sha256(script?.[1] as string)}; style-src ${sha256(style?.[1] as string)}; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'`,
    );
  });

  it('has no inline handlers, no style attributes, and no addresses but links into itself', () => {
    const [, , body] = /^([\s\S]*?)<body>([\s\S]*)$/.exec(page) as RegExpExecArray;
    const markup = (body as string).replace(/<script[\s\S]*?<\/script>/g, '');
    expect(markup).not.toMatch(/<[^>]*\s(?:on\w+|style)\s*=/i);
    expect([...markup.matchAll(/\b(?:src|href|action|data)="([^"]*)"/g)].map(([, to]) => to)).toEqual([
      '#text',
      '#numbers',
    ]);
  });

  it('is complete without its script: every token, with what is known of it', () => {
    const record = syntheticRun({ prompt: ['Hi'], generated: [' <b>'] });
    const small = pageOf(record);
    const [token] = record.report.tokens;
    expect(small).toContain('<bdi> &lt;b&gt;</bdi>');
    expect(small).toContain(`title="log-probability ${token?.logprob}"`);
    expect(small).toContain('20 3C 62 3E');
    expect(small).toContain(`title="${record.steps[0]?.cachedMs} ms"`);
  });
});

describe('hostile text', () => {
  const page = pageOf(syntheticRun({ prompt: HOSTILE, generated: HOSTILE, model: HOSTILE[0] as string }));

  it('opens and closes no element', () => {
    expect(elements(page, 'script')).toHaveLength(3);
    expect(page).not.toContain('<script>window');
    expect(page).not.toContain('<img');
    const outside = page.replace(/<script[\s\S]*?<\/script>/g, '');
    expect(outside).not.toContain('<!--');
    expect(outside).not.toMatch(/<[^>]*\son\w+\s*=\s*"window/);
  });

  it('leaves no control, no mark of direction and no half of a character in the file', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Cs}/u;
    expect(JSON.stringify(unseen.exec(page)?.[0])).toBeUndefined();
  });

  it('comes to the script as it was', () => {
    const json = /<script type="application\/json" id="run-data">([\s\S]*?)<\/script>/.exec(page)?.[1] as string;
    expect(
      JSON.parse(json)
        .tokens.slice(0, HOSTILE.length)
        .map(({ text }: { text: string }) => text),
    ).toEqual(HOSTILE);
  });
});

describe('any run', () => {
  it.each([
    ['nothing', { prompt: 0, generated: 0 }],
    ['one token of prompt', { prompt: 1, generated: 0 }],
    ['one token generated', { prompt: 1, generated: 1 }],
    ['nothing but one token of generated text', { prompt: 0, generated: 1 }],
    ['no cache', { cache: false }],
    ['shared keys and values', { heads: 8, kvHeads: 2 }],
    ['no attention', { attention: null, attentionMissing: '<b>it is off</b>' }],
  ])('%s has a page', (_, options) => {
    const page = pageOf(syntheticRun(options));
    expect(page.endsWith('</html>\n')).toBe(true);
    expect(page).not.toMatch(/\b(?:NaN|undefined|Infinity)\b(?=[^<>]*<\/(?:p|td|dd|li|span|strong)>)/);
  });

  it('says why there is no attention, and what heads share', () => {
    expect(pageOf(syntheticRun({ attention: null, attentionMissing: '<b>off</b>' }))).toContain(
      '&lt;b&gt;off&lt;/b&gt;',
    );
    expect(pageOf(syntheticRun({ heads: 8, kvHeads: 2 }))).toContain('8 heads share 2 heads of keys and values');
  });
});

describe('size', () => {
  it('200 tokens of stories are below 1.5 MB', () => {
    expect(Buffer.byteLength(pageOf(syntheticRun({ prompt: 10, generated: 200 })))).toBeLessThan(1_500_000);
  });

  it('1,000 tokens of 12 layers of 12 heads are below 5 MB, and the page says what was left out', () => {
    const page = pageOf(syntheticRun({ prompt: 10, generated: 990, layers: 12, heads: 12, attention: 16 }));
    expect(Buffer.byteLength(page)).toBeLessThan(5_000_000);
    expect(page).toMatch(/only the 16 largest weights are kept/);
  });
});
