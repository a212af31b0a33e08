// A page of a record opened in Chromium from a file, with all that it complained of or asked for.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { pageOf } from '../../src/view/page.js';
import type { RunRecord } from '../../src/view/run-record.js';

export interface OpenOptions {
  readonly width?: number;
  readonly dark?: boolean;
  readonly script?: boolean;
  readonly reducedMotion?: boolean;
}

export interface OpenedPage {
  readonly page: Page;
  /** Messages, errors and broken policies, and addresses besides the page's own. */
  readonly complaints: string[];
  /** From the call until the page is drawn and its script has run. */
  readonly openMs: number;
}

export async function openPage(browser: Browser, record: RunRecord, options: OpenOptions = {}): Promise<OpenedPage> {
  const folder = mkdtempSync(join(tmpdir(), 'kvgen-page-'));
  try {
    writeFileSync(join(folder, 'page.html'), pageOf(record));
    return await openFile(browser, join(folder, 'page.html'), options);
  } finally {
    rmSync(folder, { recursive: true }); // the browser has read it
  }
}

export async function openFile(browser: Browser, path: string, options: OpenOptions = {}): Promise<OpenedPage> {
  const { width = 1280, dark = false, script = true, reducedMotion = false } = options;
  const address = pathToFileURL(path).href;
  const page = await browser.newPage({
    viewport: { width, height: 900 },
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: reducedMotion ? 'reduce' : 'no-preference',
    javaScriptEnabled: script,
  });
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => complaints.push(`dialog: ${dialog.message()}`));
  page.on('request', (request) => {
    if (request.url() !== address) {
      complaints.push(`request: ${request.url()}`);
    }
  });
  const began = performance.now();
  await page.goto(address, { waitUntil: 'load' });
  if (script) {
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn))));
  }
  return { page, complaints, openMs: performance.now() - began };
}

/** Waits until the page has drawn what was chosen. */
export async function drawn(page: Page): Promise<void> {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** By how much the page is wider than the window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}
