// npm's own parts: its command line, the node-gyp it bundles, and an environment for children that is not
// bent by the npm run we may be inside of. Runs nothing.

import { existsSync, realpathSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';

// `npm install -g` hands its scripts npm_config_global, npm_config_prefix, npm_config_dry_run and the like, which
// would turn a plain `npm pack` or node-gyp into something else. Only what describes the network and the
// compiler stays.
const KEPT =
  /^npm_config_(registry|userconfig|globalconfig|(https?_?)?proxy|noproxy|ca|cafile|cert|key|strict_ssl|cache|python|nodedir|devdir|disturl|dist_url|node_gyp|jobs|tfjs_node_\w+)$/i;

export function childEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_/i.test(name) || KEPT.test(name)));
}

/** The path of npm-cli.js, or undefined. */
export function findNpm(env: NodeJS.ProcessEnv): string | undefined {
  // Under yarn or pnpm npm_execpath is theirs.
  const running = env.npm_execpath;
  const candidates = [
    ...(running !== undefined && basename(running) === 'npm-cli.js' ? [running] : []),
    ...npmFolders(env).map((folder) => join(folder, 'bin', 'npm-cli.js')),
  ];
  return candidates.find((path) => existsSync(path));
}

/** The path of node-gyp.js, or undefined. */
export function findNodeGyp(env: NodeJS.ProcessEnv): string | undefined {
  const named = env.npm_config_node_gyp;
  const npm = findNpm(env);
  const folders = [...(npm === undefined ? [] : [dirname(dirname(npm))]), ...npmFolders(env)];
  const bundled = folders.map((folder) => join(folder, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js'));
  return [...(named === undefined ? [] : [named]), ...bundled].find((path) => existsSync(path));
}

/** The prefix of this Node, if the headers to build against were installed with it. */
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

/** The first file of that name on the PATH, or undefined. */
export function findProgram(name: string, env: NodeJS.ProcessEnv): string | undefined {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const names = process.platform === 'win32' ? [`${name}.exe`, `${name}.cmd`] : [name];
  return folders.flatMap((folder) => names.map((file) => join(folder, file))).find((path) => existsSync(path));
}
