// Which versions a measurement belongs to.

import { readFileSync } from 'node:fs';
import { tensorflowVersion, tfjsVersion } from '../../tf/backend.js';

/** Of the backend that is current now. */
export function versions(): Record<string, string> {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  const tensorflow = tensorflowVersion();
  return {
    kvgen: version,
    node: process.versions.node,
    tfjs: tfjsVersion(),
    ...(tensorflow === undefined ? {} : { tensorflow }),
  };
}
