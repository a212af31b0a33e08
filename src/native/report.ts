// The one line that says which engine is in place, for postinstall, `kvgen setup` and doctor.

import type { Source } from './record.js';
import type { Status } from './status.js';

const ORIGIN: Readonly<Record<Source, string>> = {
  download: "tfjs-node's own download",
  wheel: "TensorFlow's wheel",
  found: 'installed before',
};

export function describeEngine(status: Status): string {
  if (status.engine === 'native') {
    return `native engine in place: TensorFlow ${status.tensorflow ?? '(not loaded yet)'} (${ORIGIN[status.source]})`;
  }
  return 'no native engine: kvgen runs on WebAssembly, with the same text, several times slower for large models; "kvgen setup" tries again';
}
