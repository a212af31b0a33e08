// The key of saved prompts and answers, from the file or the command that the environment names. Neither it nor what the
// command says is ever printed. Knows nothing of what the key is for.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { errorMessage, KvgenError } from '../../errors.js';
import type { FileKind } from '../../files/file-kinds.js';
import { openFile, readAll } from '../../files/open-file.js';
import { killGroup } from '../../native/child.js';
import { type KeySource, keySource } from '../../settings.js';
import { sealKey } from '../../store/seal-key.js';

const KEY: FileKind = { name: 'the key', maxBytes: 1 << 16, advice: 'name a file that holds the key' };
/** A keyring that is locked may ask its owner, in a window of its own. */
const SECONDS = 10;
const IS_WINDOWS = process.platform === 'win32';
const HOW = 'expected 32 bytes, as they are, in hexadecimal or base64, or a longer passphrase';

/**
 * @param seconds how long a command may take
 * @returns 32 bytes; undefined: the environment names none, and nothing is sealed
 * @throws KvgenError where it cannot be had; UsageError when both variables name one; what `signal` aborts with
 */
export async function cacheKey(
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
  seconds = SECONDS,
): Promise<Uint8Array | undefined> {
  const source = keySource(env);
  if (source === undefined) {
    return undefined;
  }
  const secret =
    source.name === 'KVGEN_CACHE_KEY_FILE'
      ? await fromFile(source, signal)
      : await fromCommand(source, signal, seconds);
  const key = await sealKey(secret);
  if (key === undefined) {
    throw new KvgenError(`${source.name}: the key is too short: ${HOW}, found ${secret.length} bytes`);
  }
  return key;
}

async function fromFile({ name, value }: KeySource, signal: AbortSignal): Promise<Uint8Array> {
  const file = await openFile(value, KEY, signal);
  const bytes = await readAll(file);
  const user = process.geteuid?.();
  if (user !== undefined && file.owner !== user && file.owner !== 0) {
    throw new KvgenError(`${value}: ${name} belongs to user ${file.owner}, expected ${user}`);
  }
  if (user !== undefined && (file.mode & 0o077) !== 0) {
    throw new KvgenError(`${value}: ${name} can be read or written to by others; chmod 600 it`);
  }
  return bytes;
}

/** What the command prints. It gets no input, and is ended with all that it started when it takes too long. */
async function fromCommand({ name, value }: KeySource, signal: AbortSignal, seconds: number): Promise<Uint8Array> {
  signal.throwIfAborted();
  const failed = (how: string) => new KvgenError(`${name}: the command ${how}; run it by itself to see what it prints`);
  const stop = new AbortController(); // not AbortSignal.any of a timeout: Node 20 may collect that before it fires
  const abort = () => stop.abort();
  const timer = setTimeout(abort, 1000 * seconds);
  signal.addEventListener('abort', abort);
  const child = spawn(value, { shell: true, detached: !IS_WINDOWS, stdio: ['ignore', 'pipe', 'ignore'] });
  let printed = Buffer.alloc(0);
  child.stdout.on('data', (bytes: Buffer) => {
    printed = Buffer.concat([printed, bytes]);
    if (printed.length > KEY.maxBytes) {
      killGroup(child);
    }
  });
  let code: unknown;
  let ended: unknown;
  try {
    [code, ended] = await once(child, 'close', { signal: stop.signal });
  } catch (error) {
    killGroup(child);
    child.stdout.destroy();
    signal.throwIfAborted();
    throw failed(stop.signal.aborted ? `took longer than ${seconds} s` : `cannot be started (${errorMessage(error)})`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
  if (printed.length > KEY.maxBytes) {
    throw failed(`printed more than ${KEY.maxBytes} bytes`);
  }
  if (code !== 0) {
    throw failed(`failed (${ended ?? `exit ${code}`})`);
  }
  return printed;
}
