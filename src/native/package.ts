// Finds or makes the tfjs-node folder to install into. From 11.16 on, npm keeps this optional dependency in a checkout and
// skips its script. An older npm runs the script and silently removes the folder if it fails; in a global install it does so
// even after kvgen's own script has run. Then the package is fetched into a folder that npm does not touch.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { withStage } from '../files/folders.js';
import { run, type StepOptions } from './child.js';
import { findNpm } from './npm.js';
import { TFJS_NODE } from './pins.js';
import { isDependency, npmFolder, ownFolder, privateFolder } from './status.js';

/** The folder of a tfjs-node package that npm will not remove. It may still lack its native parts. */
export async function packageFolder(root: string, step: StepOptions): Promise<string> {
  const npms = npmFolder(root);
  if (npms !== undefined && !isDependency(root)) {
    return npms;
  }
  const target = isDependency(root) ? privateFolder(root) : ownFolder(root);
  if (existsSync(join(target, 'package.json'))) {
    return target;
  }
  const parent = dirname(target);
  await mkdir(parent, { recursive: true });
  await withStage(parent, async (stage) => {
    const fetched = npms === undefined ? await fetchPackage(stage, step) : await copyPackage(npms, stage);
    await rm(target, { recursive: true, force: true });
    await rename(fetched, target);
  });
  return target;
}

async function copyPackage(from: string, stage: string): Promise<string> {
  const copy = join(stage, 'package');
  const skipped = ['deps', 'lib', 'node_modules'].map((name) => join(from, name));
  await cp(from, copy, { recursive: true, filter: (source) => !skipped.includes(source) });
  return copy;
}

async function fetchPackage(stage: string, step: StepOptions): Promise<string> {
  const spec = `${TFJS_NODE.name}@${TFJS_NODE.version}`;
  step.log(`fetching ${spec}, which npm left out`);
  const npm = findNpm(step.env);
  if (npm === undefined) {
    throw new Error(`${spec}: no npm found to fetch it with`);
  }
  const child = { ...step, cwd: stage, timeoutSeconds: 300 };
  const pack = ['pack', spec, '--ignore-scripts', '--pack-destination', stage];
  await run([process.execPath, npm, ...pack], { ...child, name: 'npm pack' });
  const archive = `tensorflow-tfjs-node-${TFJS_NODE.version}.tgz`;
  const bytes = await readFile(join(stage, archive));
  const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  if (integrity !== TFJS_NODE.integrity) {
    throw new Error(`${spec}: expected ${TFJS_NODE.integrity}, found ${integrity}`);
  }
  await run(['tar', '-xzf', archive], { ...child, name: 'tar' });
  return join(stage, 'package');
}
