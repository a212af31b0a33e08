// Which versions a measurement belongs to.

import { tensorflowVersion, tfjsVersion } from '../../tf/backend.js';
import { kvgenVersion } from '../shell/version.js';

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
