// An answer of a server whose body has not been read. Knows nothing of what is in it.

export interface ServerAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The body as it arrives, to be asked for once. @throws KvgenError when it is cut or stops coming; what the signal aborts with */
  pieces(): AsyncGenerator<Uint8Array, void>;
}

/** The first bytes of a body: all of it, unless it is longer than `most`. */
export async function beginningOf({ pieces }: ServerAnswer, most: number): Promise<Buffer> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of pieces()) {
    read.push(piece);
    bytes += piece.length;
    if (bytes > most) {
      break;
    }
  }
  return Buffer.concat(read);
}
