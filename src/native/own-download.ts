// Runs tfjs-node's own install script, which downloads libtensorflow and a prebuilt binding. The script runs in a copy of
// the package, because when it fails it leaves an empty deps folder and a changed package.json. Knows nothing of what is
// tried when the download fails.

import { chmod, copyFile, cp, link, mkdir, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { run, type StepOptions } from './child.js';
import { findNodeHeaders } from './npm.js';
import { namesIn, nativeFiles, upwards } from './status.js';

const FIRST_BYTE_SECONDS = 20;

/** Works in the private folder `stage`, and puts `deps/lib` and `lib/napi-v8` into `target`. */
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

/** Lets the script find the modules and programs that it would find if it ran in the package's real folder. */
function lookup(folder: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const folders = upwards(folder).slice(0, -1); // not the file system's root, which others may write to
  const modules = folders.map((above) => join(above, 'node_modules'));
  const programs = [...modules.map((path) => join(path, '.bin')), env.PATH ?? ''];
  return {
    NODE_PATH: modules.join(delimiter),
    PATH: programs.join(delimiter),
    // If no binding is published, the script builds one. With the headers of this Node it need not download them.
    npm_config_nodedir: findNodeHeaders() ?? env.npm_config_nodedir,
  };
}

/** The script has no time limit of its own. On a network that drops packets it would wait for minutes. */
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
    // In the download, several names are links to one library. Only the name that the binding asks for is collected.
    const source = await realpath(join(copy, file));
    await link(source, join(target, file)).catch(() => copyFile(source, join(target, file)));
    await chmod(join(target, file), 0o644);
  }
}
