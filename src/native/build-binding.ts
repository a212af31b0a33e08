// Builds tfjs-node's own binding with the node-gyp that npm bundles, against TensorFlow's libraries and headers
// in a private folder. The build works on a copy, so that a failure leaves the package as it was.

import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from './child.js';
import { childEnv, findNodeGyp, findNodeHeaders, findProgram } from './npm.js';
import { NAPI_VERSION } from './pins.js';

export interface BuildOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Throws when the build cannot work, before anything large is downloaded for it. */
export function checkCompiler(env: NodeJS.ProcessEnv): void {
  if (findNodeGyp(env) === undefined) {
    throw new Error('no node-gyp found: install npm, which bundles it');
  }
  const compilers = [env.CXX?.split(' ')[0] ?? 'g++', 'c++', 'clang++'];
  if (!compilers.some((name) => existsSync(name) || findProgram(name, env) !== undefined)) {
    throw new Error('no C++ compiler found on the PATH: install g++ and make');
  }
  if (findProgram('make', env) === undefined) {
    throw new Error('no make found on the PATH: install it');
  }
}

/** Builds against `tensorflow/{lib,include}`; the binding ends up as the file `output`. */
export async function buildBinding(
  packageFolder: string,
  tensorflow: string,
  output: string,
  options: BuildOptions,
): Promise<void> {
  const gyp = findNodeGyp(options.env);
  if (gyp === undefined) {
    throw new Error('no node-gyp found: install npm, which bundles it');
  }
  const folder = join(dirname(tensorflow), 'build');
  await layOut(packageFolder, tensorflow, folder);
  options.log('building the binding (10 to 30 s)');
  const names = ['--module_name=tfjs_binding', '--module_path=./out', `--napi_build_version=${NAPI_VERSION}`];
  await run(process.execPath, [gyp, 'rebuild', ...names, ...headers(folder)], {
    name: 'node-gyp',
    env: childEnv(options.env),
    cwd: folder,
    signal: options.signal,
    timeoutSeconds: 900,
  });
  await mkdir(dirname(output), { recursive: true });
  await copyFile(join(folder, 'build', 'Release', 'tfjs_binding.node'), output);
}

async function layOut(packageFolder: string, tensorflow: string, folder: string): Promise<void> {
  await mkdir(folder);
  await cp(join(packageFolder, 'binding'), join(folder, 'binding'), { recursive: true });
  await copyFile(join(packageFolder, 'package.json'), join(folder, 'package.json'));
  await symlink(tensorflow, join(folder, 'deps'));
  const recipe = await readFile(join(packageFolder, 'binding.gyp'), 'utf8');
  await writeFile(join(folder, 'binding.gyp'), linkWheelLibraries(recipe));
}

/**
 * In a wheel the library is called libtensorflow_cc. Naming it in the recipe saves a second copy of half a
 * gigabyte under the other name. Relative folders, because an absolute path with a space breaks the build.
 */
export function linkWheelLibraries(recipe: string): string {
  return recipe
    .replaceAll('libtensorflow.2.dylib', 'libtensorflow_cc.2.dylib')
    .replace("'-ltensorflow'", "'-l:libtensorflow_cc.so.2'")
    .replace("'-ltensorflow_framework'", "'-l:libtensorflow_framework.so.2'")
    .replaceAll("'<(module_root_dir)/deps/include'", "'deps/include'")
    .replaceAll("['<(module_root_dir)/deps/lib']", "['deps/lib']");
}

/** Node's headers: those installed with this Node, else node-gyp downloads them (into our folder). */
function headers(folder: string): string[] {
  const prefix = findNodeHeaders();
  return prefix === undefined ? [`--devdir=${join(folder, 'headers')}`] : [`--nodedir=${prefix}`];
}
