// The page's own script and style, which scripts/build.js has bundled, and the licence of the library in them.

import { readFileSync } from 'node:fs';

export interface PageFiles {
  readonly script: string;
  readonly style: string;
  /** Of uPlot, which draws the chart. */
  readonly licence: string;
}

/** The same relative path holds in src/ and in dist/: a browser needs one script without imports. */
export function pageFiles(): PageFiles {
  const read = (name: string) => readFileSync(new URL(`../../dist/view/page/${name}`, import.meta.url), 'utf8');
  return { script: read('script.js'), style: read('style.css'), licence: read('uplot-licence.txt') };
}
