// Which versions a measurement belongs to.

import { kvgenVersion } from '../../native/status.js';
import { tensorflowVersion, tfjsVersion } from '../../tf/backend.js';

/** Of the backend that is current now. */
export function versions(): Record<string, string> {
  const tensorflow = tensorflowVersion();
  return {
    kvgen: kvgenVersion(),
    node: process.versions.node,
    tfjs: tfjsVersion(),
    ...(tensorflow === undefined ? {} : { tensorflow }),
  };
}
