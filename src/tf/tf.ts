// TF.js's core, required instead of imported: importing would first scan its megabyte of CommonJS for names,
// which takes longer than running it. The same instance that tfjs-node and the other backends register with.

import { createRequire } from 'node:module';

export const tf = createRequire(import.meta.url)('@tensorflow/tfjs-core') as typeof import('@tensorflow/tfjs-core');
