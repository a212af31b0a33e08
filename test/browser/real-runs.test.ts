// Pages of real runs, in the browser: part of `npm run test:browser`. What a page shows is what --json would have printed.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunRecord } from '../../src/view/run-record.js';
import { kvgen } from '../cli/run.js';
import { tempDirs } from '../support/temp-dir.js';
import { launchChromium } from './chromium.js';
import { drawn, openFile } from './opened-page.js';

const family = (name: string) => fileURLToPath(new URL(`../fixtures/families/${name}`, import.meta.url));
const OF_IDS = ['--prompt-ids', '1,2,3,4,5', '-n', '12', '--seed', '7'];

const RUNS: [name: string, args: readonly string[]][] = [
  ['stories, 200 tokens', ['-n', '200', '--seed', '7', '--ignore-eos', 'Once upon a time']],
  ['stories, no cache', ['-n', '12', '--seed', '7', '--no-cache', 'Once upon a time']],
  ['stories, a draft', ['-n', '40', '--temp', '0', '--draft', '4', 'The dog ran. The dog ran. The dog']],
  ['stories, to the end of the text', ['-n', '300', '--temp', '0', 'The dog was happy. The end.']],
  ['stories, a prompt alone', ['-n', '0', 'Once upon a time']],
  ['stories, an empty prompt', ['-n', '5', '--seed', '7', '']],
  ['a Llama with shared keys and values', ['-m', family('llama-gqa-bos'), ...OF_IDS]],
  ['a Mistral with a window', ['-m', family('mistral-window'), ...OF_IDS]],
  ['a GPT-NeoX', ['-m', family('gpt-neox'), ...OF_IDS]],
];

describe.runIf(process.env.KVGEN_BROWSER === '1')('pages of real runs', () => {
  const newFolder = tempDirs();
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  }, 300_000);
  afterAll(async () => await browser?.close());

  it.each(RUNS)('%s', async (_, args) => {
    const dir = newFolder();
    const files = ['-o', join(dir, 'page.html'), '--record', join(dir, 'run.json')];
    const { code, stderr } = await kvgen(['view', '--backend', 'simd', ...files, ...args]);
    expect([code, stderr.split('\n').length]).toEqual([0, 3]);
    const record: RunRecord = JSON.parse(readFileSync(join(dir, 'run.json'), 'utf8'));
    const { report, steps } = record;
    expect(statSync(join(dir, 'page.html')).size).toBeLessThan(1_500_000);

    const { page, complaints } = await openFile(browser, join(dir, 'page.html'));
    const titles = (selector: string) =>
      page.locator(selector).evaluateAll((all) => all.map((one) => (one as HTMLElement).title));
    const tokens = [...report.prompt_tokens_detail, ...report.tokens];
    const exact = (logprob: number | null) =>
      logprob === null ? 'no log-probability: nothing comes before it' : `log-probability ${logprob}`;
    const ms = (value: number | null) => (value === null ? 'not measured' : `${value} ms`);
    expect(await titles('#table td:nth-of-type(4) .number')).toEqual(tokens.map(({ logprob }) => exact(logprob)));
    expect(await titles('#table td:nth-of-type(5) .number')).toEqual(
      tokens.flatMap(({ top }) => (top ?? []).map(({ logprob }) => exact(logprob))),
    );
    expect(await titles('#table td:nth-of-type(6) .number')).toEqual(steps.map(({ cachedMs }) => ms(cachedMs)));
    expect(await titles('#table td:nth-of-type(7) .number')).toEqual(steps.map(({ uncachedMs }) => ms(uncachedMs)));
    expect(await page.locator('#table td:nth-of-type(2)').allTextContents()).toEqual(
      tokens.map(({ id }) => String(id)),
    );
    const facts = (await page.locator('#numbers .facts').textContent()) ?? '';
    const { enabled, positions, bytes } = report.cache;
    expect(facts).toContain(enabled ? `${positions} positions, ${bytes} bytes` : 'Cacheoff');
    for (const value of [report.load_ms, report.prompt_ms, report.first_token_ms, report.decode_ms]) {
      expect(facts).toContain(value === null ? '–' : `${value} ms`);
    }

    expect(await page.locator('#strip .cell.filled').count()).toBe(enabled ? positions : tokens.length - 1);
    await page.locator('#weights summary').click();
    await drawn(page);
    const weights = await page
      .locator('#weights [data-weight]')
      .evaluateAll((all) => all.map((one) => Number((one as HTMLElement).dataset.weight)));
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 3);
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});
