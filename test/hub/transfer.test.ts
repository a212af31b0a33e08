// Transfers that do not go well: connections that are cut, servers that say strange things, files that are not what the hub
// lists, disks that are full, pulls that are stopped. What is here in the end is right, or nothing; and no byte more than needed.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { KvgenError } from '../../src/errors.js';
import { type PassingError, refusal } from '../../src/hub/hub-errors.js';
import { expectFailure } from '../support/errors.js';
import { tempDirs } from '../support/temp-dir.js';
import { FakeHub, hashOf, refuse, type Seen } from './fake-hub.js';
import { blobs, IMPATIENT, pullFrom, randomBytes, read } from './pulls.js';

const tempDir = tempDirs();
const hasFlock = process.platform === 'linux' && spawnSync('flock', ['--version']).status === 0;
const WEIGHTS = randomBytes(1_000_000);
const HASH = hashOf({ bytes: WEIGHTS, lfs: true });
let hub: FakeHub;
let cache: string;

beforeEach(async () => {
  hub = await new FakeHub().listen();
  hub.add('me/model', { 'config.json': '{}', 'model.safetensors': WEIGHTS });
  cache = join(tempDir(), 'hub');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await hub.close();
});

const isWeights = ({ host }: Seen) => host === 'lfs';
const ranges = () =>
  hub
    .requestsFor('model.safetensors')
    .filter(isWeights)
    .map(({ range }) => range);
const blobPath = (name: string) => join(cache, 'models--me--model', 'blobs', name);

function putPartial(bytes: Uint8Array, name = `${HASH}.incomplete`): string {
  mkdirSync(join(cache, 'models--me--model', 'blobs'), { recursive: true });
  writeFileSync(blobPath(name), bytes);
  return blobPath(name);
}

/** The file is here and right, and nothing unfinished is. */
async function expectRight(pulled: ReturnType<typeof pullFrom>): Promise<Awaited<typeof pulled>> {
  const done = await pulled;
  expect(read(done.dir, 'model.safetensors').equals(WEIGHTS)).toBe(true);
  expect(blobs(cache).filter((name) => name.includes('.'))).toEqual([]);
  return done;
}

describe('a connection that is cut', () => {
  /** Cuts each answer for the weights after so many bytes, as long as there are some. */
  function cutAfter(...lengths: number[]): void {
    hub.misbehave = async (seen, response) => {
      const until = isWeights(seen) ? lengths.shift() : undefined;
      if (until === undefined) {
        return false;
      }
      const from = Number(/\d+/.exec(seen.range ?? '')?.[0] ?? 0);
      const part = { 'content-range': `bytes ${from}-${WEIGHTS.length - 1}/${WEIGHTS.length}` };
      const headers = { 'content-length': WEIGHTS.length - from, etag: `"${HASH.slice(0, 32)}"` };
      response.writeHead(from > 0 ? 206 : 200, from > 0 ? { ...headers, ...part } : headers);
      await hub.sendPieces(response, WEIGHTS.subarray(from), until);
      return true;
    };
  }

  /** What a cut connection still had in it is lost. */
  const nearly = (bytes: number) => expect(hub.sent).toBeLessThan(bytes + 0.2 * WEIGHTS.length);

  it('goes on where it was cut, and fetches hardly anything twice', async () => {
    cutAfter(400_000, 300_000);
    const { said } = await expectRight(pullFrom(hub, cache));
    expect(ranges()).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/), expect.stringMatching(/^bytes=\d+-$/)]);
    expect(hub.requestsFor('model.safetensors').at(-1)?.ifRange).toBe(`"${HASH.slice(0, 32)}"`);
    nearly(WEIGHTS.length);
    expect(said.notes.join('\n')).toContain('the connection was cut');
  });

  it('is tried again only so often when nothing comes any more', async () => {
    cutAfter(400_000, 0, 0, 0, 0, 0, 0, 0);
    await expectFailure(() => pullFrom(hub, cache), 'the connection was cut', 'run it again to go on');
    expect(ranges()).toHaveLength(4); // the first, which brought something, and three that did not
    const { size } = statSync(blobPath(`${HASH}.incomplete`));
    expect(size).toBeGreaterThan(0);
    hub.misbehave = () => false;
    hub.sent = 0;
    const { said } = await expectRight(pullFrom(hub, cache));
    expect(said.resumed).toBe(size);
    expect(hub.sent).toBe(WEIGHTS.length - size);
  });

  it('that brings something each time is tried as often as it takes', async () => {
    cutAfter(...Array.from({ length: 5 }, () => 100_000)); // more often than it is tried in vain
    await expectRight(pullFrom(hub, cache));
    expect(ranges().length).toBeGreaterThanOrEqual(6);
    nearly(WEIGHTS.length);
  });

  it('may look like an end', async () => {
    let isFirst = true;
    hub.misbehave = async (seen, response) => {
      const cuts = isWeights(seen) && isFirst;
      if (cuts) {
        isFirst = false;
        response.write(WEIGHTS.subarray(0, 500_000)); // chunked: no length is promised
        response.end();
      }
      return cuts;
    };
    await expectRight(pullFrom(hub, cache));
    expect(ranges()).toEqual([undefined, 'bytes=500000-']);
  });

  it('or is open and silent is given up', async () => {
    hub.misbehave = (seen, response) => {
      if (isWeights(seen)) {
        response.write(WEIGHTS.subarray(0, 1000));
      }
      return isWeights(seen);
    };
    const patience = { ...IMPATIENT, silence: 300, retries: 1 };
    await expectFailure(() => pullFrom(hub, cache, { patience }), 'nothing came for 0.3 s');
    hub.misbehave = () => true; // no answer at all
    await expectFailure(() => pullFrom(hub, cache, { patience, model: 'me/other' }), 'nothing came for 0.3 s');
  });
});

describe('what an earlier run left', () => {
  it('is hashed and gone on with', async () => {
    putPartial(WEIGHTS.subarray(0, 600_000));
    const { said, fetched } = await expectRight(pullFrom(hub, cache));
    expect(ranges()).toEqual(['bytes=600000-']);
    expect({ resumed: said.resumed, fetched }).toEqual({ resumed: 600_000, fetched: 400_002 });
  });

  it('is taken as it is when it is whole', async () => {
    putPartial(WEIGHTS);
    await expectRight(pullFrom(hub, cache));
    expect(ranges()).toEqual([]);
  });

  it.each([
    ['wrong', randomBytes(600_000, 2), ['bytes=600000-', undefined]],
    ['too long', Buffer.concat([WEIGHTS, Buffer.of(0)]), [undefined]],
    ['whole and wrong', randomBytes(WEIGHTS.length, 2), [undefined]],
    ['empty', Buffer.of(), [undefined]],
  ])('is fetched from its beginning when it is %s', async (_, bytes, expected) => {
    putPartial(bytes);
    await expectRight(pullFrom(hub, cache));
    expect(ranges()).toEqual(expected);
  });

  it('of a process that is no more is taken over, the longest of several', async () => {
    await pullFrom(hub, cache, { patterns: ['config.json'] });
    const wait = new AbortController();
    hub.misbehave = async (seen, response) => {
      if (isWeights(seen)) {
        response.writeHead(200, { 'content-length': WEIGHTS.length });
        response.write(WEIGHTS.subarray(0, 10_000));
      }
      return isWeights(seen);
    };
    const onProgress = () => wait.abort(new Error('enough'));
    let own = '';
    const stopped = pullFrom(hub, cache, {
      signal: wait.signal,
      onProgress: () => {
        own = blobs(cache).find((name) => name.startsWith(`${HASH}.`)) ?? own;
        onProgress();
      },
    });
    await expect(stopped).rejects.toThrow('enough');
    const gone = (n: number) => own.replace(new RegExp(`-${process.pid}-`), `-${4_000_000 + n}-`); // beyond any number of a process
    expect(gone(1)).not.toBe(own);
    putPartial(WEIGHTS.subarray(0, 500_000), gone(1));
    putPartial(WEIGHTS.subarray(0, 700_000), gone(2));
    hub.misbehave = () => false;
    await expectRight(pullFrom(hub, cache));
    expect(ranges().at(-1)).toBe('bytes=700000-');
  });

  /** The file that huggingface_hub locks while it fetches one; it leaves it behind. */
  function putLock(): string {
    const locks = join(cache, '.locks', 'models--me--model');
    mkdirSync(locks, { recursive: true });
    writeFileSync(join(locks, `${HASH}.lock`), '');
    return join(locks, `${HASH}.lock`);
  }

  it.runIf(hasFlock)('and huggingface_hub is still writing is left alone', async () => {
    const partial = putPartial(WEIGHTS.subarray(0, 600_000));
    utimesSync(partial, new Date(0), new Date(0)); // it writes 10 MB at a time
    const holder = spawn('flock', [putLock(), 'cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
    onTestFinished(() => void holder.stdin.end());
    holder.stdin.write('locked');
    await once(holder.stdout, 'data');
    const { dir } = await pullFrom(hub, cache);
    expect(ranges()).toEqual([undefined]);
    expect(read(dir, 'model.safetensors').equals(WEIGHTS)).toBe(true);
    expect(readFileSync(partial).length).toBe(600_000);
  });

  it('and huggingface_hub wrote some time ago is gone on with', async () => {
    const partial = putPartial(WEIGHTS.subarray(0, 600_000));
    putLock();
    utimesSync(partial, new Date(0), new Date(0));
    await expectRight(pullFrom(hub, cache));
    expect(ranges()).toEqual(['bytes=600000-']);
  });
});

describe('a server', () => {
  const answerOnce = (answer: (seen: Seen, response: Parameters<FakeHub['misbehave']>[1]) => void, times = 1) => {
    let left = times;
    hub.misbehave = (seen, response) => {
      const does = isWeights(seen) && left-- > 0;
      if (does) {
        answer(seen, response);
      }
      return does;
    };
  };
  const etag = '"other"';
  const rest = (from: number, total = WEIGHTS.length) => ({
    'content-range': `bytes ${from}-${WEIGHTS.length - 1}/${total}`,
  });

  it.each<[string, number, Record<string, string>, Buffer]>([
    ['that knows no ranges', 200, {}, WEIGHTS],
    ['that gives another range', 206, rest(0), WEIGHTS],
    ['that gives a range of a longer file', 206, rest(500_000, 2_000_000), WEIGHTS.subarray(500_000)],
    ['that does not say which range', 206, {}, WEIGHTS.subarray(500_000)],
    ['that has no such range', 416, {}, Buffer.of()],
    ['that compresses a range', 206, { ...rest(500_000), 'content-encoding': 'gzip' }, gzipSync('x')],
  ])('%s: the file is right', async (_, status, headers, bytes) => {
    putPartial(WEIGHTS.subarray(0, 500_000));
    answerOnce((_seen, response) => void response.writeHead(status, headers).end(bytes));
    await expectRight(pullFrom(hub, cache));
    expect(ranges()[0]).toBe('bytes=500000-');
    expect(ranges()[1]).toBe(undefined);
  });

  it('whose file is another one in the middle sends it anew', async () => {
    answerOnce((_seen, response) => {
      response.writeHead(200, { etag, 'content-length': WEIGHTS.length });
      response.write(randomBytes(300_000, 7), () => setTimeout(() => response.destroy(), 30));
    });
    await expectRight(pullFrom(hub, cache)); // If-Range with the first ETag: 200 with the second
    expect(hub.requestsFor('model.safetensors').at(-1)).toMatchObject({ range: 'bytes=300000-', ifRange: etag });
  });

  it.each([500, 502, 503, 504, 408])('that answers %i is asked again, some times', async (status) => {
    answerOnce((_seen, response) => void response.writeHead(status).end());
    await expectRight(pullFrom(hub, cache));
    answerOnce((_seen, response) => void response.writeHead(status).end(), 99);
    hub.seen.length = 0;
    const failing = () => pullFrom(hub, join(cache, 'other'));
    await expectFailure(failing, 'does not work at the moment', String(status), 'run it again');
    expect(ranges()).toHaveLength(4);
  });

  it('that asks to wait is waited for', async () => {
    answerOnce((_seen, response) => void response.writeHead(429, { 'retry-after': '1' }).end());
    const { said } = await expectRight(pullFrom(hub, cache));
    expect(said.notes.join()).toMatch(/too many requests \(429\).*trying again in 1\.0 s/);
  });

  it.each([
    ['retry-after', 'Wed, 21 Oct 2015 07:28:00 GMT', 0],
    ['retry-after', '2', 2000],
    ['retry-after', 'soon', undefined],
    ['ratelimit', '"resolvers";r=0;t=55', 55_000],
    ['ratelimit', '"resolvers";r=7;t=55', undefined],
  ])('says how long to wait by %s: %s', (name, value, expected) => {
    const url = new URL(hub.url);
    const asked = { hub: hub.url, model: 'me/model', revision: 'main', hasToken: false };
    const error = refusal(new Response('', { status: 429, headers: { [name]: value } }), '', url, asked);
    expect((error as PassingError).waitMs).toBe(expected);
  });

  it('that asks to wait too long is not', async () => {
    answerOnce((_seen, response) => void response.writeHead(429, { 'retry-after': '3600' }).end());
    await expectFailure(() => pullFrom(hub, cache), 'too many requests (429)', 'HF_TOKEN', 'later');
    expect(ranges()).toHaveLength(1);
  });

  it('that sends more or less than the hub lists is not believed', async () => {
    answerOnce((_seen, response) => void response.end(Buffer.concat([WEIGHTS, Buffer.of(1)])), 99);
    await expectFailure(() => pullFrom(hub, cache), 'the hub lists 1000000 bytes', 'sends 1000001');
    answerOnce((_seen, response) => {
      response.write(WEIGHTS); // chunked
      response.end('more');
    }, 99);
    await expectFailure(() => pullFrom(hub, cache), 'more than the 1000000 bytes', 'removed');
    expect(blobs(cache).filter((name) => name.startsWith(HASH))).toEqual([]);
  });

  it('that sends wrong bytes: the file does not get its name, and what came is removed', async () => {
    answerOnce((_seen, response) => void response.end(randomBytes(WEIGHTS.length, 3)), 99);
    await expectFailure(
      () => pullFrom(hub, cache),
      'model.safetensors: expected SHA-256',
      HASH.slice(0, 16),
      'removed',
    );
    expect(blobs(cache).filter((name) => name.startsWith(HASH))).toEqual([]);
    hub.misbehave = (seen, response) => {
      if (seen.path.endsWith('/config.json')) {
        response.end('[]');
      }
      return seen.path.endsWith('/config.json');
    };
    await expectFailure(() => pullFrom(hub, join(cache, 'other')), 'config.json: expected git hash');
  });

  it('may compress a whole file', async () => {
    answerOnce(
      (_seen, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(WEIGHTS)),
    );
    await expectRight(pullFrom(hub, cache));
  });
});

describe('redirects', () => {
  it('take the token to the hub alone', async () => {
    await expectRight(pullFrom(hub, cache, { token: 'hf_secret' }));
    const tokens = (host: string) => new Set(hub.seen.filter((seen) => seen.host === host).map((s) => s.authorization));
    expect([...tokens('hub')]).toEqual(['Bearer hf_secret']);
    expect([...tokens('lfs')]).toEqual([undefined]);
  });

  it('that lead away and back take it no further', async () => {
    hub.misbehave = (seen, response) => {
      const [from, to] = seen.host === 'lfs' ? [seen.path, `${hub.url}/back`] : ['', ''];
      if (from !== '') {
        response.writeHead(302, { location: to }).end();
      } else if (seen.path === '/back') {
        response.end(WEIGHTS);
      }
      return from !== '' || seen.path === '/back';
    };
    await expectRight(pullFrom(hub, cache, { token: 'hf_secret' }));
    expect(hub.seen.filter(({ path }) => path === '/back').map(({ authorization }) => authorization)).toEqual([
      undefined,
    ]);
  });

  it.each([
    ['in a circle', '/me/model/resolve/x/model.safetensors', 'more than 10 redirects'],
    ['to a file', 'file:///etc/passwd', 'file:///etc/passwd'],
    ['to http on another machine', 'http://192.0.2.1/x', 'expected an https address'],
    ['to nowhere', 'http://[', 'expected an https address'],
  ])('%s are not followed', async (_, location, words) => {
    hub.misbehave = ({ path }, response) => {
      const does = path.includes('/resolve/') && path.endsWith('.safetensors');
      if (does) {
        response.writeHead(302, { location }).end();
      }
      return does;
    };
    await expectFailure(() => pullFrom(hub, cache), words);
  });
});

describe('a refusal says what to do', () => {
  const answer = (status: number, code: string, words: string, where = '/resolve/') => {
    hub.misbehave = ({ path }, response) => {
      if (path.includes(where)) {
        refuse(response, status, code, words);
      }
      return path.includes(where);
    };
  };

  it('of what is unknown or private', async () => {
    const { message } = await expectFailure(() => pullFrom(hub, cache, { model: 'me/none' }), 'me/none: not found');
    expect(message).toContain('or private; for a private one set HF_TOKEN');
    await expectFailure(() => pullFrom(hub, cache, { model: 'me/none', token: 'hf_x' }), 'needs a valid HF_TOKEN');
    answer(404, '', 'Not found', '/api/');
    await expectFailure(() => pullFrom(hub, cache), 'me/model: not found');
  });

  it.each([
    [401, 'GatedRepo', 'Access to model me/model is restricted.'],
    [403, 'GatedRepo', 'you are not in the authorized list'],
    [403, '', 'Access to model me/model is restricted and you are not in the authorized list.'],
  ])('of a gated model (%i, %s)', async (status, code, words) => {
    answer(status, code, words);
    await expectFailure(() => pullFrom(hub, cache), 'is gated', `ask for access at ${hub.url}/me/model`, 'HF_TOKEN');
    await expectFailure(() => pullFrom(hub, cache, { token: 'hf_x' }), 'is gated', 'the account of HF_TOKEN');
  });

  it('of a host that does not speak TLS', async () => {
    const tls = hub.url.replace('http:', 'https:');
    await expectFailure(() => pullFrom(hub, cache, { hub: tls }), `${tls} does not speak TLS`);
  });

  it('of anything else', async () => {
    answer(403, 'DisabledRepo', 'Repository is disabled');
    await expectFailure(() => pullFrom(hub, cache), '403', 'Repository is disabled');
    answer(404, 'EntryNotFound', 'Entry not found');
    await expectFailure(() => pullFrom(hub, cache), 'not there any more');
    hub.misbehave = (seen, response) => {
      if (isWeights(seen)) {
        response.writeHead(403).end('<Error>AccessDenied</Error>');
      }
      return isWeights(seen);
    };
    await expectFailure(() => pullFrom(hub, cache), 'refuses the file (it answers 403)');
  });
});

describe('a disk', () => {
  it('with too little room is found out before anything large is fetched', async () => {
    const size = 2 ** 52;
    hub.misbehave = ({ path }, response) => {
      if (path.includes('/tree/')) {
        const entry = (name: string) => ({ type: 'file', path: name, size, oid: 'a'.repeat(40) });
        response.end(JSON.stringify([entry('config.json'), entry('model.safetensors')]));
      }
      return path.includes('/tree/');
    };
    await expectFailure(() => pullFrom(hub, cache), '4503599627.4 MB are needed', 'are free', 'HF_HOME');
    expect(hub.sent).toBe(0);
  });

  it('that is full in the middle keeps what came', async () => {
    const probe = await open(join(tempDir(), 'probe'), 'w');
    const write = vi.spyOn(Object.getPrototypeOf(probe), 'write');
    await probe.close();
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    let pieces = 0;
    write.mockImplementation(async function (this: unknown, ...[piece, offset, length, position]: unknown[]) {
      if (++pieces > 4) {
        throw full;
      }
      const { fd } = this as { fd: number };
      const part = (piece as Uint8Array).subarray(Number(offset), Number(offset) + Number(length));
      return { bytesWritten: writeSync(fd, part, 0, part.length, Number(position)) };
    });
    await expectFailure(() => pullFrom(hub, cache), 'the disk is full', 'make room and run it again to go on');
    write.mockRestore();
    const [left] = blobs(cache).filter((name) => name.startsWith(HASH));
    expect(left).toBe(`${HASH}.incomplete`);
    const { said } = await expectRight(pullFrom(hub, cache));
    expect(said.resumed).toBeGreaterThan(0);
  });
});

describe('a pull that is stopped', () => {
  it('while bytes come keeps them, and the next one goes on', async () => {
    const stop = new AbortController();
    hub.delay = 3;
    const onProgress = ({ done }: { done: number }) => done > 300_000 && stop.abort(new Error('stopped'));
    await expect(pullFrom(hub, cache, { signal: stop.signal, onProgress })).rejects.toThrow('stopped');
    const { size } = statSync(blobPath(`${HASH}.incomplete`));
    expect(size).toBeGreaterThan(300_000);
    const { said } = await expectRight(pullFrom(hub, cache));
    expect(said.resumed).toBe(size);
    expect(hub.sent).toBeLessThan(1.2 * WEIGHTS.length);
  });

  it.each<[string, (stop: () => void) => FakeHub['misbehave']]>([
    ['waits for an answer', (stop) => () => setTimeout(stop, 20) !== undefined],
    [
      'waits to try again',
      (stop) => (_, response) => {
        response.writeHead(503, { 'retry-after': '1' }).end();
        setTimeout(stop, 20);
        return true;
      },
    ],
  ])('while it %s stops', async (_, misbehave) => {
    const stop = new AbortController();
    hub.misbehave = misbehave(() => stop.abort(new Error('stopped')));
    const patience = { silence: 60_000, retries: 3, firstDelay: 60_000, giveUp: 60_000, longestWait: 60_000 };
    await expect(pullFrom(hub, cache, { signal: stop.signal, patience })).rejects.toThrow('stopped');
  });
});

describe('two pulls at once', () => {
  it('both end right, and fetch it once', async () => {
    hub.delay = 2;
    const waits: number[] = [];
    const onProgress = ({ state, done }: { state: string; done: number }) =>
      void (state === 'waiting' && waits.push(done));
    await Promise.all([
      expectRight(pullFrom(hub, cache, { onProgress })),
      expectRight(pullFrom(hub, cache, { onProgress })),
      expectRight(pullFrom(hub, cache, { onProgress })),
    ]);
    expect(ranges()).toEqual([undefined]);
    expect(waits.length).toBeGreaterThan(0);
  });

  it('the second goes on where the first is stopped', async () => {
    hub.delay = 2;
    const stop = new AbortController();
    const onProgress = ({ done }: { done: number }) => done > 300_000 && stop.abort(new Error('stopped'));
    const first = pullFrom(hub, cache, { signal: stop.signal, onProgress });
    const second = expectRight(pullFrom(hub, cache));
    await Promise.allSettled([first]);
    await second;
    expect(hub.sent).toBeLessThan(1.3 * WEIGHTS.length);
  });
});

describe('whatever the network does', () => {
  /** One of many things that go wrong, or nothing; by a number in [0, 1). */
  function trouble(chance: number): FakeHub['misbehave'] {
    return async (seen, response) => {
      const kind = Math.floor(chance * 1000) % 9;
      const from = Number(/\d+/.exec(seen.range ?? '')?.[0] ?? 0);
      const part = { 'content-range': `bytes ${from}-${WEIGHTS.length - 1}/${WEIGHTS.length}` };
      if (!isWeights(seen) || kind > 6) {
        return false;
      }
      if (kind === 0) {
        response.destroy();
      } else if (kind === 1) {
        response.writeHead(503).end('busy');
      } else if (kind === 2) {
        response.writeHead(200).end(WEIGHTS.subarray(0, Math.floor(chance * WEIGHTS.length)));
      } else if (kind === 3) {
        response.writeHead(416).end();
      } else if (kind === 4) {
        response.writeHead(206, part).end(WEIGHTS.subarray(from + 1)); // one byte is missing
      } else {
        response.writeHead(from > 0 ? 206 : 200, from > 0 ? part : {});
        await hub.sendPieces(response, WEIGHTS.subarray(from), Math.floor(chance * (WEIGHTS.length - from)));
      }
      return true;
    };
  }

  it.each(Array.from({ length: 12 }, (_, seed) => seed + 1))('a file is right or not there (%i)', async (seed) => {
    const chances = randomBytes(4000, seed).values();
    hub.beforeCut = 5; // it may all be lost
    hub.misbehave = (seen, response) =>
      trouble(((chances.next().value ?? 0) * 256 + (chances.next().value ?? 0)) / 65536)(seen, response);
    let done: Awaited<ReturnType<typeof pullFrom>> | undefined;
    for (let run = 0; run < 20 && done === undefined; run++) {
      const stop = new AbortController();
      const until = ((chances.next().value ?? 0) / 128) * WEIGHTS.length; // half of the runs are stopped
      const onProgress = (progress: { done: number }) => progress.done > until && stop.abort(new KvgenError('stopped'));
      done = await pullFrom(hub, cache, { signal: stop.signal, onProgress }).catch((error) => {
        expect(error).toBeInstanceOf(KvgenError);
        return undefined;
      });
      expect(done === undefined ? blobs(cache).includes(HASH) : false).toBe(false);
    }
    hub.misbehave = () => false;
    await expectRight(pullFrom(hub, cache));
  });
});
