// Failed connections in words. The codes are those of Node, OpenSSL and undici.

import { describe, expect, it } from 'vitest';
import { connectionError, PassingError } from '../../src/remote/remote-errors.js';

const AT = 'https://a:1';

/** As fetch throws it. */
function failed(code: string, message = code): Error {
  const cause = Object.assign(new Error(message), code === '' ? {} : { code });
  return new TypeError('fetch failed', { cause });
}

describe('a connection', () => {
  it.each([
    ['ECONNREFUSED', `${AT}: no connection (ECONNREFUSED); is the server running, and is this its address?`, true],
    ['UND_ERR_CONNECT_TIMEOUT', `${AT}: no connection; is the server running, and is this its address?`, true],
    ['ECONNRESET', `${AT}: the connection was closed before the end of the answer (ECONNRESET)`, true],
    ['ENOTFOUND', `${AT}: no such host (ENOTFOUND); is the address right, and is there a network?`, false],
    [
      'CERT_HAS_EXPIRED',
      `${AT}: its certificate is not trusted (CERT_HAS_EXPIRED); NODE_EXTRA_CA_CERTS=FILE names an authority that is to be trusted`,
      false,
    ],
    [
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      `${AT}: its certificate is not trusted (UNABLE_TO_VERIFY_LEAF_SIGNATURE); NODE_EXTRA_CA_CERTS=FILE names an authority that is to be trusted`,
      false,
    ],
    ['ERR_TLS_CERT_ALTNAME_INVALID', `${AT}: its certificate is that of another host`, false],
    ['ERR_SSL_WRONG_VERSION_NUMBER', `${AT}: no https there; does it speak http?`, false],
    ['HPE_INVALID_CONSTANT', `${AT}: expected HTTP, found something else (HPE_INVALID_CONSTANT)`, false],
  ])('%s', (code, words, isTriedAgain) => {
    const error = connectionError(failed(code), AT);
    expect([error.message, error instanceof PassingError]).toEqual([words, isTriedAgain]);
  });

  it('to a port that fetch refuses', () => {
    const words = `${AT}: a port that is kept for other things, and that fetch does not ask; choose another`;
    expect(connectionError(failed('', 'bad port'), AT)).toMatchObject({ message: words });
  });

  it('to several addresses of one host: the first one says why', () => {
    const errors = [Object.assign(new Error('x'), { code: 'ECONNREFUSED' })];
    const error = new TypeError('fetch failed', { cause: new AggregateError(errors) });
    expect(connectionError(error, AT).message).toMatch(/no connection \(ECONNREFUSED\)/);
  });
});
