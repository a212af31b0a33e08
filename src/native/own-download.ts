// tfjs-node's own way: its install script downloads libtensorflow and a prebuilt binding. It runs in a copy of
// the package, since on failure it leaves an empty deps folder and a changed package.json behind.

import { readdirSync } from 'node:fs';
import { chmod, copyFile, cp, link, mkdir, realpath } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { run } from './child.js';
import { childEnv, findNodeHeaders } from './npm.js';
import { nativeFiles } from './status.js';

export interface DownloadOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

const FIRST_BYTE_SECONDS = 20;

/** Leaves `deps/lib` and `lib/napi-v8` in `target`, working in the private folder `stage`. */
export async function ownDownload(
  packageFolder: string,
  stage: string,
  target: string,
  options: DownloadOptions,
): Promise<void> {
  const copy = join(stage, 'own');
  for (const name of ['package.json', 'scripts', 'binding', 'binding.gyp']) {
    await cp(join(packageFolder, name), join(copy, name), { recursive: true });
  }
  await run(process.execPath, [join(copy, 'scripts', 'install.js')], {
    name: 'its install script',
    env: { ...childEnv(options.env), ...lookup(packageFolder, options.env) },
    cwd: copy,
    signal: options.signal,
    timeoutSeconds: 1800,
    stalled: (seconds) => stalled(copy, seconds),
  });
  await collect(copy, target);
}

/** The script's modules and node-pre-gyp, as they would be found from the package's real place. */
function lookup(packageFolder: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const modules: string[] = [];
  for (let folder = packageFolder; folder !== dirname(folder); folder = dirname(folder)) {
    modules.push(join(folder, 'node_modules'));
  }
  const programs = [...modules.map((folder) => join(folder, '.bin')), env.PATH ?? ''];
  const headers = findNodeHeaders();
  return {
    NODE_PATH: modules.join(delimiter),
    PATH: programs.join(delimiter),
    // Where no binding is published the script builds one, and would download Node's headers for it.
    ...(headers === undefined ? {} : { npm_config_nodedir: headers }),
  };
}

/** The script has no time limit of its own: on a network that swallows packets it would wait for minutes. */
function stalled(copy: string, seconds: number): string | undefined {
  if (seconds < FIRST_BYTE_SECONDS || isFilled(join(copy, 'deps'))) {
    return undefined;
  }
  return `had no answer after ${FIRST_BYTE_SECONDS} s`;
}

function isFilled(folder: string): boolean {
  try {
    return readdirSync(folder).length > 0;
  } catch {
    return false;
  }
}

async function collect(copy: string, target: string): Promise<void> {
  const files = nativeFiles(copy);
  if (files.length < 2) {
    throw new Error('its install script ended without TensorFlow libraries');
  }
  for (const file of files) {
    await mkdir(dirname(join(target, file)), { recursive: true });
    // Several names lead to one library; the binding asks for the one that is collected here.
    const source = await realpath(join(copy, file));
    await link(source, join(target, file)).catch(() => copyFile(source, join(target, file)));
    await chmod(join(target, file), 0o644);
  }
}
