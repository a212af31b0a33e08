// Finds npm, the node-gyp that it bundles, Node's headers, and programs on the PATH. Knows nothing of what they are for, and
// runs none of them.

import { existsSync, realpathSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';

/** The path of npm-cli.js. */
export function findNpm(env: NodeJS.ProcessEnv): string | undefined {
  const running = env.npm_execpath ?? ''; // yarn and pnpm name themselves here
  const installed = npmFolders(env).map((folder) => join(folder, 'bin', 'npm-cli.js'));
  return [running, ...installed].find((path) => basename(path) === 'npm-cli.js' && existsSync(path));
}

/** The path of node-gyp.js. */
export function findNodeGyp(env: NodeJS.ProcessEnv): string {
  const npm = findNpm(env);
  const folders = [...(npm === undefined ? [] : [dirname(dirname(npm))]), ...npmFolders(env)];
  const bundled = folders.map((folder) => join(folder, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js'));
  const found = [env.npm_config_node_gyp ?? '', ...bundled].find((path) => existsSync(path));
  if (found === undefined) {
    throw new Error('no node-gyp found: install npm, which bundles it');
  }
  return found;
}

/** The folder that this Node was installed into, if its headers lie there too. */
export function findNodeHeaders(): string | undefined {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? prefix : undefined;
}

function npmFolders(env: NodeJS.ProcessEnv): string[] {
  const bin = dirname(process.execPath);
  const onPath = findProgram('npm', env);
  return [
    ...(onPath === undefined ? [] : [dirname(dirname(realpathSync(onPath)))]),
    join(dirname(bin), 'lib', 'node_modules', 'npm'),
    join(bin, 'node_modules', 'npm'),
  ];
}

/** The first file of that name on the PATH. */
export function findProgram(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const names = process.platform === 'win32' ? [`${name}.exe`, `${name}.cmd`] : [name];
  return folders.flatMap((folder) => names.map((file) => join(folder, file))).find((path) => existsSync(path));
}
