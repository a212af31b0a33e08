// Runs tfjs-node's own install script, which downloads libtensorflow and a prebuilt binding. It runs in a copy of the
// package, because on failure it leaves an empty deps folder and a changed package.json behind. Knows nothing of what
// replaces the download where it fails.

import { chmod, copyFile, cp, link, mkdir, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { run, type StepOptions } from './child.js';
import { findNodeHeaders } from './npm.js';
import { namesIn, nativeFiles, upwards } from './status.js';

const FIRST_BYTE_SECONDS = 20;

/** Leaves `deps/lib` and `lib/napi-v8` in `target`, working in the private folder `stage`. */
export async function ownDownload(folder: string, stage: string, target: string, step: StepOptions): Promise<void> {
  const copy = join(stage, 'own');
  for (const name of ['package.json', 'scripts', 'binding', 'binding.gyp']) {
    await cp(join(folder, name), join(copy, name), { recursive: true });
  }
  await run([process.execPath, join(copy, 'scripts', 'install.js')], {
    ...step,
    name: 'its install script',
    env: { ...step.env, ...lookup(folder, step.env) },
    cwd: copy,
    timeoutSeconds: 1800,
    stalled: (seconds) => stalled(copy, seconds),
  });
  await collect(copy, target);
}

/** Lets the script in the copy find the modules and programs that it would find from the package's real folder. */
function lookup(folder: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const folders = upwards(folder).slice(0, -1); // without the file system's root, which others may write to
  const modules = folders.map((above) => join(above, 'node_modules'));
  const programs = [...modules.map((path) => join(path, '.bin')), env.PATH ?? ''];
  return {
    NODE_PATH: modules.join(delimiter),
    PATH: programs.join(delimiter),
    // Where no binding is published the script builds one, and would download Node's headers for it.
    npm_config_nodedir: findNodeHeaders() ?? env.npm_config_nodedir,
  };
}

/** The script has no time limit of its own: on a network that swallows packets it would wait for minutes. */
function stalled(copy: string, seconds: number): string | undefined {
  const waiting = seconds < FIRST_BYTE_SECONDS || namesIn(join(copy, 'deps')).length > 0;
  return waiting ? undefined : `had no answer after ${FIRST_BYTE_SECONDS} s`;
}

async function collect(copy: string, target: string): Promise<void> {
  const files = nativeFiles(copy);
  if (files.length < 2) {
    throw new Error('its install script ended without TensorFlow libraries');
  }
  for (const file of files) {
    await mkdir(dirname(join(target, file)), { recursive: true });
    // The download has links with several names to one library; the binding asks for the name that is collected here.
    const source = await realpath(join(copy, file));
    await link(source, join(target, file)).catch(() => copyFile(source, join(target, file)));
    await chmod(join(target, file), 0o644);
  }
}
