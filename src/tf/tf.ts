// The core of TF.js, the same instance that tfjs-node and the other backends register with. It is required, not
// imported: an import would first search its megabyte of CommonJS for names, which takes longer than running it.

import { createRequire } from 'node:module';

export const tf = createRequire(import.meta.url)('@tensorflow/tfjs-core') as typeof import('@tensorflow/tfjs-core');
