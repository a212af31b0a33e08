// The page of a run in a real browser: `npm run test:browser`. Not part of `npm test`. Screenshots go to screenshots/.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunRecord } from '../../src/view/run-record.js';
import { type SyntheticRun, syntheticRun } from '../view/synthetic-run.js';
import { launchChromium } from './chromium.js';
import { drawn, type OpenOptions, openPage, overflow } from './opened-page.js';

const SCREENSHOTS = fileURLToPath(new URL('../../screenshots/', import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const PREFILL = [
  { from: 0, to: 8, source: 'disk', ms: 1.2 },
  { from: 8, to: 10, source: 'memory', ms: 0 },
  { from: 10, to: 14, source: 'computed', ms: 20.5 },
  { from: 14, to: 16, source: 'computed', ms: 9.5 },
] as const;
/** Sixteen tokens of prompt in all ways that there are, and forty written ones. */
const RUN = syntheticRun({ prompt: 16, generated: 40, layers: 3, heads: 4, prefill: PREFILL });

const HOSTILE = [
  '<script>window.hacked = 1</script>',
  '</script><img src=x onerror="window.hacked=1">',
  '<!--',
  '" onmouseover="window.hacked=1',
  '<style>*{display:none}</style>',
  '\u001b[31mred\u001b[0m',
  '\u202eevil\u202c',
  '\u2067\u2066\u2069',
  'שלום',
  '\0\ud800\u200b\u2028\r',
  '\n'.repeat(30),
  'x'.repeat(10_000),
  `a${'\u0301'.repeat(400)}`,
  '',
];

describe.runIf(process.env.KVGEN_BROWSER === '1')('the page in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true });
    browser = await launchChromium();
  }, 300_000);
  afterAll(async () => await browser?.close());

  const opened = async <T>(record: RunRecord, options: OpenOptions, use: (page: Page) => Promise<T>): Promise<T> => {
    const { page, complaints } = await openPage(browser, record, options);
    try {
      const result = await use(page);
      expect(complaints).toEqual([]);
      return result;
    } finally {
      await page.context().close();
    }
  };
  const choose = async (page: Page, position: number) => {
    await page.locator('#slider').fill(String(position));
    await drawn(page);
  };
  const text = async (page: Page, selector: string) =>
    (await page.locator(selector).innerText()).replace(/[\u2068\u2069]/g, '');

  describe('opens', () => {
    it.each([
      [360, false],
      [1280, false],
      [1280, true],
    ])('%i pixels wide, dark: %s, without a complaint, a request or a bar to scroll sideways', async (width, dark) => {
      await opened(RUN, { width, dark }, async (page) => {
        const image = await page.screenshot({
          path: join(SCREENSHOTS, `${width}${dark ? '-dark' : ''}.png`),
          fullPage: true,
        });
        expect(await overflow(page)).toBe(0);
        expect(image.length).toBeGreaterThan(50_000); // a blank one has a tenth of it
        expect(await page.locator('#chart canvas').evaluate(inkOf)).toBeGreaterThan(500);
        expect(await page.locator('#heads canvas').last().evaluate(inkOf)).toBeGreaterThan(500);
      });
    });

    const ANY: [string, SyntheticRun][] = [
      ['nothing', { prompt: 0, generated: 0 }],
      ['one token of prompt', { prompt: 1, generated: 0 }],
      ['a token written to no prompt', { prompt: 0, generated: 1 }],
      ['one token written', { prompt: 1, generated: 1 }],
      ['a prompt alone', { prompt: 9, generated: 0 }],
      ['no cache', { cache: false, generated: 4 }],
      ['no attention', { attention: null, attentionMissing: '<b>not asked for</b>' }],
      ['no time without the cache', { uncached: false }],
      ['shared keys and values', { heads: 8, kvHeads: 2, layers: 2 }],
    ];
    it.each(ANY)('with %s', async (_, run) => {
      await opened(syntheticRun(run), { width: 360 }, async (page) => {
        expect(await overflow(page)).toBe(0);
        expect(await page.locator('body').innerText()).not.toMatch(/NaN|undefined|Infinity/);
      });
    });

    it('1,000 tokens, and steps through them', async () => {
      const run = syntheticRun({ prompt: 10, generated: 990, layers: 12, heads: 12, attention: 16 });
      const { page, complaints, openMs } = await openPage(browser, run);
      const began = performance.now();
      for (const position of [0, 500, 998]) {
        await choose(page, position);
      }
      const stepMs = (performance.now() - began) / 3;
      console.log(
        `1,000 tokens of 12 layers of 12 heads: opens in ${openMs.toFixed(0)} ms, a step takes ${stepMs.toFixed(0)} ms`,
      );
      expect(await page.locator('#strip .cell.filled').count()).toBe(998);
      expect(await text(page, '#attention')).toContain('only the 16 largest weights are kept');
      expect(complaints).toEqual([]);
      await page.context().close();
    });

    it('200 tokens of the size of stories', async () => {
      const { page, complaints, openMs } = await openPage(browser, syntheticRun({ prompt: 10, generated: 200 }));
      console.log(`200 tokens of 6 layers of 6 heads: opens in ${openMs.toFixed(0)} ms`);
      expect(await page.locator('#tokens .token').count()).toBe(210);
      expect(complaints).toEqual([]);
      await page.context().close();
    });
  });

  describe('shows of a token', () => {
    it('under the pointer all that the record has, and the chosen one again when the pointer leaves', async () => {
      await opened(RUN, {}, async (page) => {
        const token = RUN.report.tokens[3];
        await page.locator('#tokens .token').nth(19).hover();
        const details = page.locator('#details');
        expect(await text(page, '#details')).toContain(String(token?.id));
        expect(await text(page, '#details')).toContain('20 6C 69 74 74 6C 65'); // " little"
        const titles = await details
          .locator('.number')
          .evaluateAll((all) => all.map((one) => (one as HTMLElement).title));
        expect(titles).toEqual([
          `log-probability ${token?.logprob}`,
          `${RUN.steps[3]?.cachedMs} ms`,
          `${RUN.steps[3]?.uncachedMs} ms`,
          ...(token?.top ?? []).map(({ logprob }) => `log-probability ${logprob}`),
        ]);
        await page.locator('h1').hover();
        expect(await text(page, '#details')).toContain('Position\n55');
        await page.locator('#tokens .token').nth(19).click();
        await page.locator('h1').hover();
        await drawn(page);
        expect(await text(page, '#details')).toContain('Position\n19');
        expect(await page.locator('#tokens [aria-selected="true"]').count()).toBe(1);
      });
    });

    it('the same in its table, for every token', async () => {
      await opened(RUN, {}, async (page) => {
        const { prompt_tokens_detail, tokens } = RUN.report;
        const rows = await page.locator('#table tbody tr').evaluateAll((all) =>
          all.map((row) => ({
            head: row.querySelector('th')?.textContent,
            id: row.querySelectorAll('td')[1]?.textContent,
            titles: [...row.querySelectorAll<HTMLElement>('.number')].map(({ title }) => title),
          })),
        );
        expect(rows).toEqual(
          [...prompt_tokens_detail, ...tokens].map(({ id, logprob, top }, position) => {
            const step = RUN.steps[position - prompt_tokens_detail.length];
            return {
              head: String(position),
              id: String(id),
              titles: [
                logprob === null ? 'no log-probability: nothing comes before it' : `log-probability ${logprob}`,
                ...(top ?? []).map((rival) => `log-probability ${rival.logprob}`),
                ...(step === undefined ? [] : [`${step.cachedMs} ms`, `${step.uncachedMs} ms`]),
              ],
            };
          }),
        );
      });
    });
  });

  describe('by keyboard', () => {
    it('goes from token to token, to the ends, and from line to line', async () => {
      await opened(RUN, {}, async (page) => {
        const chosen = async () => {
          await drawn(page);
          return page.evaluate(() =>
            [...document.querySelectorAll('#tokens .token')].indexOf(document.activeElement as Element),
          );
        };
        await page.locator('#tokens [tabindex="0"]').focus();
        await page.keyboard.press('Home');
        expect(await chosen()).toBe(0);
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('ArrowRight');
        expect(await chosen()).toBe(2);
        await page.keyboard.press('ArrowLeft');
        expect(await chosen()).toBe(1);
        await page.keyboard.press('ArrowDown');
        const below = await chosen();
        expect(below).toBeGreaterThan(2);
        await page.keyboard.press('ArrowUp');
        expect(await chosen()).toBe(1);
        await page.keyboard.press('End');
        expect(await chosen()).toBe(55);
        expect(await page.locator('#chosen').innerText()).toContain('56 of 56');
      });
    });

    it('goes to the left where the text does', async () => {
      const run = syntheticRun({ prompt: ['שלום', ' עולם'], generated: [' טוב', ' מאוד'], layers: 1, heads: 1 });
      await opened(run, {}, async (page) => {
        await page.locator('#tokens [tabindex="0"]').focus();
        await page.keyboard.press('Home');
        await page.keyboard.press('ArrowLeft');
        await drawn(page);
        expect(await page.locator('#chosen').innerText()).toContain('2 of 4');
        const left = await page
          .locator('#tokens .token')
          .evaluateAll((all) => all.map((one) => one.getBoundingClientRect().left));
        expect(left).toEqual([...left].sort((a, b) => b - a));
      });
    });

    it('reaches everything in order, with a focus that is seen', async () => {
      await opened(RUN, {}, async (page) => {
        const order: string[] = [];
        for (let i = 0; i < 15; i++) {
          await page.keyboard.press('Tab');
          order.push(await page.evaluate(nameOfFocused));
        }
        expect(order).toEqual(
          [
            ['a.skip', '#previous', '#slider', '#next', '#play', 'span.token', '#details'],
            ['#layer', '#head', 'summary', 'button.head'],
            ['#logarithmic', 'a', 'summary', 'summary'],
          ].flat(),
        );
      });
    });

    it('moves the slider, and walks over the heads', async () => {
      await opened(RUN, {}, async (page) => {
        await page.locator('#slider').focus();
        await page.keyboard.press('Home');
        await page.keyboard.press('ArrowRight');
        await drawn(page);
        expect(await page.locator('#chosen').innerText()).toContain('2 of 56');
        expect(await page.locator('#slider').getAttribute('aria-valuetext')).toContain('2 of 56');
        await page.locator('.head[tabindex="0"]').focus();
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('ArrowDown');
        expect(await page.locator('.head[aria-checked="true"]').getAttribute('aria-label')).toBe('Layer 1, head 1');
        expect(await page.locator('#layer').inputValue()).toBe('1');
      });
    });
  });

  describe('the cache', () => {
    it('grows with the slider, part by part and then one by one', async () => {
      await opened(RUN, {}, async (page) => {
        const filled = async (position: number) => {
          await choose(page, position);
          return page.locator('#strip .cell.filled').count();
        };
        const positions = [0, 7, 8, 10, 13, 14, 15, 16, 17, 30, 55];
        const counts: number[] = [];
        for (const position of positions) {
          counts.push(await filled(position));
        }
        expect(counts).toEqual([8, 8, 10, 14, 14, 16, 16, 16, 17, 30, 55]);
        expect(await page.locator('#pass').getAttribute('title')).toBe(`${RUN.report.cache.bytes} bytes`);
        for (const [source, count] of [
          ['disk', 8],
          ['memory', 2],
          ['computed', 6],
          ['even', 2],
          ['decode', 40],
        ] as const) {
          expect(await page.locator(`#strip .cell.${source}`).count()).toBe(count);
        }
      });
    });

    it('stands beside what the same pass costs without it', async () => {
      await opened(RUN, {}, async (page) => {
        const cells = async (position: number) => {
          await choose(page, position);
          return page.locator('#work tbody td').allInnerTexts();
        };
        // 3 layers; 6 of the prompt's 16 tokens were computed
        expect(await cells(16)).toEqual(['18', '48', '2.7 ×', '18', '48', '2.7 ×']);
        expect(await cells(18)).toEqual(['3', '54', '18 ×', '24', '153', '6.4 ×']);
      });
    });
  });

  it('of a token behind a right guess of a draft no pass is told', async () => {
    const run = syntheticRun({ prompt: 3, generated: ['a', 'b', 'c', 'd'], layers: 1, heads: 1 });
    const steps = run.steps.map((step, i) => (i === 2 ? { ...step, cachedMs: 0 } : step));
    await opened({ ...run, steps }, {}, async (page) => {
      const words = async (at: number) => {
        await page.locator('#tokens .token').nth(at).click();
        await drawn(page);
        return await page
          .locator('#pass, #details, #time-words')
          .allInnerTexts()
          .then((all) => all.join(' '));
      };
      const behind = await words(5);
      expect(behind).toMatch(/A draft had guessed “.?b.?”, so it was run at position 4 in the pass before;/);
      expect(behind).toContain('none: the pass before gave it too');
      expect(behind).toContain('a draft had guessed the token before it, so the pass before gave this one too');
      expect(await words(6)).toMatch(/“.?c.?” is run, at position 5;/);
    });
    await opened(run, {}, async (page) => {
      await page.locator('#tokens .token').nth(5).click();
      expect(await page.locator('#pass').innerText()).toMatch(/“.?b.?” alone is run, at position 4;/);
    });
  });

  describe('attention', () => {
    it('is that of the chosen token, layer and head, and sums to 1', async () => {
      await opened(RUN, {}, async (page) => {
        await choose(page, 30);
        await page.locator('#weights summary').click();
        for (const [layer, head] of [
          ['2', '3'],
          ['1', '-1'],
          ['-1', '-1'],
        ] as const) {
          await page.locator('#layer').selectOption(layer);
          await page.locator('#head').selectOption(head);
          const table = page.locator('#weights tbody tr');
          const rows = await table.evaluateAll((all) =>
            all.map((row) => [
              Number(row.querySelector('th')?.textContent),
              Number(row.querySelector<HTMLElement>('[data-weight]')?.dataset.weight),
            ]),
          );
          expect(rows).toHaveLength(31);
          expect(rows.reduce((sum, [, weight]) => sum + (weight as number), 0)).toBeCloseTo(1, 3);
          for (const [position, weight] of rows as [number, number][]) {
            expect(Math.abs(weight - meanWeight(RUN, Number(layer), Number(head), 30, position))).toBeLessThan(1 / 255);
          }
        }
      });
    });

    it('of the newest token, which was never run, is that of the one before', async () => {
      await opened(RUN, {}, async (page) => {
        expect(await text(page, '#looking')).toMatch(
          /^The newest token was never run\. The one before it, “[^”]*” at 54,/,
        );
        expect(await page.locator('#heat .looks').count()).toBe(1);
      });
    });

    it('that is missing says why', async () => {
      const run = syntheticRun({ attention: null, attentionMissing: 'the graph engine has <none>' });
      await opened(run, {}, async (page) =>
        expect(await text(page, '#attention')).toContain('the graph engine has <none>'),
      );
    });
  });

  it('hostile tokens execute nothing, show as themselves, and break no line', async () => {
    const run = syntheticRun({ prompt: HOSTILE, generated: HOSTILE, layers: 2, heads: 2, model: HOSTILE[0] as string });
    for (const width of [360, 1280]) {
      await opened(run, { width }, async (page) => {
        for (let position = 0; position < HOSTILE.length; position++) {
          await choose(page, position);
          expect(await overflow(page)).toBe(0);
        }
        await page.screenshot({ path: join(SCREENSHOTS, `hostile-${width}.png`), fullPage: true });
        expect(await page.evaluate(() => 'hacked' in window)).toBe(false);
        expect(await page.locator('#tokens .token').first().innerText()).toBe(HOSTILE[0]);
        expect(await page.locator('#tokens .token').nth(5).innerText()).toBe('␛[31mred␛[0m');
        expect(await page.locator('#tokens .token').nth(6).innerText()).toBe('U+202EevilU+202C');
        expect(await page.locator('#tokens .token').nth(11).innerText()).toMatch(/^x{300}… 10000 characters$/);
        expect(await page.locator('img, iframe, object').count()).toBe(0);
        const heights = await page.locator('#tokens .token').evaluateAll((all) => all.map((one) => one.clientHeight));
        expect(Math.max(...heights)).toBeLessThan(1500);
      });
    }
  });

  describe('axe finds nothing', () => {
    const hostile = syntheticRun({ prompt: HOSTILE, generated: HOSTILE, layers: 2, heads: 2 });
    it.each([
      ['light', RUN, {}],
      ['dark', RUN, { dark: true }],
      ['narrow', RUN, { width: 360 }],
      ['hostile', hostile, { dark: true, width: 360 }],
      ['without attention and cache', syntheticRun({ attention: null, cache: false }), {}],
    ] as [string, RunRecord, OpenOptions][])('%s', async (_, run, options) => {
      await opened(run, options, async (page) => {
        await page.evaluate(() => {
          for (const details of document.querySelectorAll('details')) {
            details.open = true;
          }
        });
        await choose(page, 15);
        if (run.attention !== null) {
          await page.locator('#layer').selectOption('0');
          await page.locator('#head').selectOption('0');
        }
        await page.evaluate(AXE); // the protocol runs it, so the page's policy stays as it is
        const found = await page.evaluate(() =>
          (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
        );
        expect(found.violations.map(({ id, nodes }) => [id, nodes[0]?.html.slice(0, 200)])).toEqual([]);
      });
    });
  });

  it('moves nothing where less motion is asked for', async () => {
    await opened(RUN, { reducedMotion: true }, async (page) => {
      await choose(page, 30);
      expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
      expect(await page.locator('#play').isVisible()).toBe(false);
    });
    await opened(RUN, {}, async (page) => {
      await choose(page, 30);
      expect(await page.evaluate(() => document.getAnimations().length)).toBeGreaterThan(0);
      await page.locator('#play').click();
      await page.waitForFunction(() => document.getElementById('chosen')?.textContent?.startsWith('33 of'));
      await page.locator('#play').click();
      expect(await page.locator('#play').innerText()).toBe('Play');
    });
  });

  it('prints without what paper cannot do', async () => {
    await opened(RUN, { dark: true }, async (page) => {
      const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      expect(await paper()).toBe('rgb(21, 24, 28)');
      await page.emulateMedia({ media: 'print' });
      expect(await paper()).toBe('rgb(252, 252, 250)'); // light on paper
      expect(await page.locator('.bar').isVisible()).toBe(false);
      expect(await page.locator('#tokens').isVisible()).toBe(true);
      expect((await page.pdf()).length).toBeGreaterThan(20_000);
    });
  });

  it('prints all heads of a layer, however many', async () => {
    await opened(syntheticRun({ layers: 2, heads: 40, generated: 4 }), { width: 700 }, async (page) => {
      const right = () =>
        page.evaluate(() =>
          Math.max(...[...document.querySelectorAll('.head')].map((head) => head.getBoundingClientRect().right)),
        );
      expect(await right()).toBeGreaterThan(700); // a screen scrolls
      await page.emulateMedia({ media: 'print' });
      expect(await right()).toBeLessThanOrEqual(700);
      expect(await overflow(page)).toBeLessThanOrEqual(0);
    });
  });

  it('is readable without its script', async () => {
    const { page, complaints } = await openPage(browser, RUN, { script: false });
    expect((await page.locator('#tokens').innerText()).replaceAll('↵', '').replace(/\s+/g, ' ').trim()).toBe(
      (RUN.report.prompt + RUN.report.text).replace(/\s+/g, ' ').trim(),
    );
    expect(await page.locator('#tokens .token').nth(20).getAttribute('title')).toMatch(/ · [\d.<> ]+ % · id \d+$/);
    expect(
      await page.locator('.bar, #cache, #details').evaluateAll((all) => all.map((one) => one.checkVisibility())),
    ).toEqual([false, false, false]);
    await page.locator('#table summary').click();
    expect(await page.locator('#table tbody tr').last().isVisible()).toBe(true);
    expect(await page.locator('noscript').innerText()).toContain('need no script');
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});

interface AxeResults {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}

/** Pixels of a canvas that are not empty. */
function inkOf(canvas: Element): number {
  const { width, height } = canvas as HTMLCanvasElement;
  const pixels = (canvas as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, width, height).data ?? [];
  let ink = 0;
  for (let i = 3; i < pixels.length; i += 4) {
    ink += (pixels[i] as number) > 0 ? 1 : 0;
  }
  return ink;
}

/** What has the focus, if one can see that it has. */
function nameOfFocused(): string {
  const focused = document.activeElement as HTMLElement;
  const { id, className, localName } = focused;
  if (getComputedStyle(focused).outlineStyle === 'none') {
    return `${localName} without an outline`;
  }
  return id !== '' ? `#${id}` : className === '' ? localName : `${localName}.${className.split(' ')[0]}`;
}

/** What the record says of one weight; −1: the mean of all. */
function meanWeight({ attention }: RunRecord, layer: number, head: number, query: number, position: number): number {
  const layers = layer < 0 ? (attention?.layers ?? []) : [attention?.layers[layer] ?? []];
  const rows = layers.flatMap((heads) => (head < 0 ? heads : [heads[head] ?? []])).map((all) => all[query] as number[]);
  return rows.reduce((sum, row) => sum + (row[position] as number), 0) / rows.length;
}
