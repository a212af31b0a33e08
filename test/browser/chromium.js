// The Chromium that the browser tests and the picture of the page use: the one that KVGEN_CHROMIUM names, the system's, or one
// that apt-get installs where we may do so.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
const QUIET = ['--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Starts the browser without a window. Its caller closes it. */
export async function launchChromium() {
  const args = ['--headless', '--no-sandbox', '--disable-gpu', ...QUIET];
  return await chromium.launch({ executablePath: chromiumPath(), args });
}

export function chromiumPath() {
  const named = process.env.KVGEN_CHROMIUM;
  if (named !== undefined && named !== '') {
    if (!existsSync(named)) {
      throw new Error(`KVGEN_CHROMIUM names ${named}, which is not there`);
    }
    return named;
  }
  const path = installed() ?? (canInstall() ? install() : undefined);
  if (path === undefined) {
    throw new Error('no Chromium is found: install it (apt-get install chromium), or name one with KVGEN_CHROMIUM');
  }
  return path;
}

function installed() {
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)];
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find((path) => existsSync(path));
}

function canInstall() {
  return process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}

function install() {
  process.stderr.write('no Chromium is found; as root: apt-get update, apt-get install chromium\n');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  for (const args of [['update'], ['install', '--yes', '--no-install-recommends', 'chromium']]) {
    spawnSync('apt-get', args, { stdio: ['ignore', 2, 2], env });
  }
  return installed();
}
