// Who may ask: on this machine anybody, as long as the request names this machine; elsewhere, and wherever there is a key,
// whoever sends it. A page of another site reaches a server on this machine by a name of its own that it lets point here:
// such a name is refused. Knows nothing of what is asked.

import { createHash, timingSafeEqual } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { errorCode, KvgenError, UsageError } from '../errors.js';
import { ApiError } from './api-error.js';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** The key that requests must have; undefined: none. @throws UsageError for one that no header can hold */
export function readKey({ KVGEN_API_KEY: key = '' }: NodeJS.ProcessEnv): string | undefined {
  if (!/^[\x21-\x7e]*$/.test(key)) {
    throw new UsageError('KVGEN_API_KEY must be letters, digits and signs of ASCII, without spaces');
  }
  return key === '' ? undefined : key;
}

/**
 * The address to listen at.
 * @throws UsageError for one that other machines reach, where there is no key; KvgenError for a name without an address
 */
export async function addressOf(host: string, key: string | undefined): Promise<string> {
  const addresses = await addressesOf(host);
  const open = addresses.find((address) => !isLoopback(address));
  if (key === undefined && open !== undefined) {
    const where = open === host ? '' : ` (${open})`;
    throw new UsageError(
      `--host ${host}${where} can be reached from other machines: set KVGEN_API_KEY to a key that requests must have`,
    );
  }
  return (addresses.find((address) => isIP(address) === 4) ?? addresses[0]) as string;
}

async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) {
    return [host];
  }
  const found = await lookup(host, { all: true }).catch((error: unknown) => {
    throw new KvgenError(`--host ${host}: no such host is known here (${errorCode(error) ?? 'unknown'})`);
  });
  return found.map(({ address }) => address);
}

function isLoopback(address: string): boolean {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  return LOOPBACK.check(address, family);
}

/** What of a request says who asks. */
interface Asking {
  readonly host?: string | undefined;
  readonly authorization?: string | undefined;
}

export class Access {
  readonly #host: string;
  readonly #key: Buffer | undefined;

  /** @param host as --host names it @param key undefined: none is needed */
  constructor(host: string, key: string | undefined) {
    this.#host = host.toLowerCase();
    this.#key = key === undefined ? undefined : digest(key);
  }

  /** @throws ApiError for who may not ask */
  check({ host = '', authorization = '' }: Asking): void {
    if (this.#key !== undefined) {
      this.#checkKey(this.#key, authorization);
    } else if (!this.#isHere(hostName(host))) {
      throw new ApiError(403, 'the Host header names another machine than this: a key (KVGEN_API_KEY) would allow it');
    }
  }

  #checkKey(key: Buffer, authorization: string): void {
    const [, given = ''] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
    if (!timingSafeEqual(digest(given), key)) {
      const headers = { 'www-authenticate': 'Bearer' };
      throw new ApiError(401, 'expected the header "Authorization: Bearer" with the key of this server', {
        code: 'invalid_api_key',
        headers,
      });
    }
  }

  #isHere(name: string): boolean {
    return name === 'localhost' || name === this.#host || (isIP(name) !== 0 && isLoopback(name));
  }
}

/** The name in a Host header, without a port. */
function hostName(host: string): string {
  const [, six, name] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host.toLowerCase()) ?? [];
  return six ?? name ?? '';
}

/** Of the same length for every key, so that comparing takes the same time. */
function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
