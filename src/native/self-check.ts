// Does the engine in a tfjs-node folder work? A child process loads it and multiplies two matrices, so that a
// library that crashes takes the child down and not the install. Never loads TensorFlow in this process.

import { run } from './child.js';
import { childEnv } from './npm.js';

// tfjs-node 4.22.0 calls two functions of `util` of which Node 22 warns and Node 23 lacks one.
const PROGRAM = `
const util = require('util');
util.isNullOrUndefined = (value) => value === undefined || value === null;
util.isArray = Array.isArray;
const tf = require(process.argv[1]);
const product = tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2])).dataSync().join();
if (product !== '19,22,43,50') throw new Error('2x2 product: expected 19,22,43,50, found ' + product);
console.log('\\ntensorflow=' + tf.backend().binding.TF_Version);
`;

/** TensorFlow's version, or an error that says why the engine does not work. */
export async function selfCheck(
  folder: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<string> {
  const output = await run(process.execPath, ['-e', PROGRAM, folder], {
    name: 'the self-check',
    env: { ...childEnv(env), TF_CPP_MIN_LOG_LEVEL: '2' },
    signal,
    timeoutSeconds: 120,
  });
  const version = /^tensorflow=(\S+)$/m.exec(output)?.[1];
  if (version === undefined) {
    throw new Error('the self-check printed no TensorFlow version');
  }
  return version;
}
