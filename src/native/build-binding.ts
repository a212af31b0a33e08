// Builds tfjs-node's binding to TensorFlow with the node-gyp that npm bundles. The build runs in a copy, so that a failure
// leaves the package as it was. Knows nothing of where TensorFlow's libraries and headers came from.

import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Command, run, type StepOptions } from './child.js';
import { findNodeGyp, findNodeHeaders, findProgram } from './npm.js';
import { NAPI_VERSION } from './pins.js';
import { BINDING } from './status.js';

/** Called before anything large is downloaded. @throws if the build cannot work */
export function checkCompiler(env: NodeJS.ProcessEnv): void {
  findNodeGyp(env);
  const compilers = [env.CXX?.split(' ')[0] ?? 'g++', 'c++', 'clang++'];
  if (!compilers.some((name) => existsSync(name) || findProgram(name, env) !== undefined)) {
    throw new Error('no C++ compiler found on the PATH: install g++ and make');
  }
  if (findProgram('make', env) === undefined) {
    throw new Error('no make found on the PATH: install it');
  }
}

/** Builds against `tensorflow/{lib,include}` and puts the binding into `target`. */
export async function buildBinding(folder: string, tensorflow: string, target: string, step: StepOptions) {
  const gyp = findNodeGyp(step.env);
  const copy = join(dirname(tensorflow), 'build');
  await layOut(folder, tensorflow, copy);
  step.log('building the binding (10 to 30 s)');
  // If Node was installed without its headers, node-gyp downloads them into the copy.
  const prefix = findNodeHeaders();
  const headers = prefix === undefined ? `--devdir=${join(copy, 'headers')}` : `--nodedir=${prefix}`;
  const names = ['--module_name=tfjs_binding', '--module_path=./out', `--napi_build_version=${NAPI_VERSION}`];
  const rebuild: Command = [process.execPath, gyp, 'rebuild', ...names, headers];
  await run(rebuild, { ...step, name: 'node-gyp', cwd: copy, timeoutSeconds: 900 });
  await mkdir(dirname(join(target, BINDING)), { recursive: true });
  await copyFile(join(copy, 'build', 'Release', 'tfjs_binding.node'), join(target, BINDING));
}

async function layOut(folder: string, tensorflow: string, copy: string): Promise<void> {
  await mkdir(copy);
  await cp(join(folder, 'binding'), join(copy, 'binding'), { recursive: true });
  await copyFile(join(folder, 'package.json'), join(copy, 'package.json'));
  await symlink(tensorflow, join(copy, 'deps'));
  const recipe = await readFile(join(folder, 'binding.gyp'), 'utf8');
  await writeFile(join(copy, 'binding.gyp'), linkWheelLibraries(recipe));
}

/**
 * In a wheel the library is called libtensorflow_cc. With that name in the recipe, no copy of half a gigabyte with the usual
 * name is needed. The folders become relative, because an absolute path with a space breaks the build.
 */
export function linkWheelLibraries(recipe: string): string {
  return recipe
    .replaceAll('libtensorflow.2.dylib', 'libtensorflow_cc.2.dylib')
    .replace("'-ltensorflow'", "'-l:libtensorflow_cc.so.2'")
    .replace("'-ltensorflow_framework'", "'-l:libtensorflow_framework.so.2'")
    .replaceAll("'<(module_root_dir)/deps/include'", "'deps/include'")
    .replaceAll("['<(module_root_dir)/deps/lib']", "['deps/lib']");
}
