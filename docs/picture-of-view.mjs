// Makes docs/kvgen-view.png, the picture of kvgen view's page in the README, from a real run:
//   npm run build && node docs/picture-of-view.mjs

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { launchChromium } from '../test/browser/chromium.js';

const RUN = ['view', '--seed', '16', '-n', '200', 'Once upon a time'];
/** The token that is chosen: what else it might have been is a good story too. */
const CHOSEN = 59;
const SIZE = { width: 1180, height: 1600 };
const MOST_BYTES = 300_000;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'kvgen-picture-'));
const page = join(folder, 'page.html');
const picture = here('kvgen-view.png');

const { status } = spawnSync(process.execPath, [here('../bin/kvgen.js'), ...RUN, '-o', page], {
  stdio: ['ignore', 2, 2],
});
if (status !== 0) {
  throw new Error(`kvgen ended with ${status}`);
}
const browser = await launchChromium();
try {
  const tab = await browser.newPage({ viewport: SIZE, colorScheme: 'light', reducedMotion: 'reduce' });
  await tab.goto(pathToFileURL(page).href);
  await tab.locator('#tokens .token').nth(CHOSEN).click();
  await tab.locator('h1').hover();
  await tab.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  await tab.screenshot({ path: picture });
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}
if (statSync(picture).size > MOST_BYTES) {
  throw new Error(`docs/kvgen-view.png has ${statSync(picture).size} bytes, more than ${MOST_BYTES}`);
}
