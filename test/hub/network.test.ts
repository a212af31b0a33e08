// The real hub, with the smallest public model of its kind: `npm run test:network`. Not part of `npm test`, and skipped with
// one line where there is no network.

import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kvgen } from '../cli/run.js';
import { tempDirs } from '../support/temp-dir.js';

const HUB = process.env.HF_ENDPOINT || 'https://huggingface.co';
/** 2 layers of 2 channels: its weights are PyTorch's, half a megabyte on the host of large files. */
const MODEL = 'sshleifer/tiny-gpt2';
const tempDir = tempDirs();

describe.runIf(process.env.KVGEN_NETWORK === '1')('the hub', () => {
  const env = { HF_ENDPOINT: HUB, HF_HOME: tempDir(), HF_HUB_CACHE: undefined, HUGGINGFACE_HUB_CACHE: undefined };
  let isReached = false;
  let isSkipped = false;

  beforeAll(async () => {
    const signal = AbortSignal.timeout(10_000);
    isReached = await fetch(HUB, { method: 'HEAD', signal }).then(
      () => true,
      () => false,
    );
  });
  afterAll(() => {
    if (isSkipped) {
      console.log(`skipped: ${HUB} cannot be reached from here`);
    }
  });

  const online = (name: string, run: () => Promise<void>) =>
    it(name, async (test) => {
      isSkipped ||= !isReached;
      test.skip(!isReached);
      await run();
    });

  online('gives a model, which runs, and nothing a second time', async () => {
    const { stdout, code } = await kvgen(['pull', MODEL], { env });
    expect(code).toBe(0);
    expect(readdirSync(stdout.trim())).toEqual(
      expect.arrayContaining(['config.json', 'pytorch_model.bin', 'vocab.json']),
    );
    expect((await kvgen(['pull', MODEL], { env })).stderr).toContain('nothing was fetched');
    const text = await kvgen(['-m', MODEL, '--backend', 'simd', '-n', '3', '--temp', '0', 'Hi'], { env });
    expect(text).toMatchObject({ code: 0, stderr: '' });
  });

  online('knows gpt2 without its owner', async () => {
    const { stdout, code } = await kvgen(['pull', 'gpt2', '--file', 'config.json'], { env });
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('models--gpt2') });
  });

  online('says what is unknown, gated, and no revision', async () => {
    const unknown = await kvgen(['pull', 'kvgen-no-such-owner/no-such-model'], { env });
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('not found') });
    const gated = await kvgen(['pull', 'meta-llama/Llama-3.2-1B'], { env: { ...env, HF_TOKEN: undefined } });
    expect(gated).toMatchObject({ code: 1, stderr: expect.stringContaining('is gated: ask for access at') });
    const revision = await kvgen(['pull', MODEL, '--revision', 'no-such-branch'], { env });
    expect(revision).toMatchObject({ code: 1, stderr: expect.stringContaining("no revision 'no-such-branch'") });
  });
});
