// The fields of a message in the wire format of protocol buffers, one after the other. Knows nothing of what they mean.
// Reference: https://protobuf.dev/programming-guides/encoding/

/** A field: its number, and what it holds. Numbers of more than 53 bits lose their last ones. */
export interface Field {
  readonly number: number;
  readonly value: number | Uint8Array;
}

const VARINT_BYTES = 10;

/** @throws Error for what is no message */
export function* fieldsOf(message: Uint8Array): Generator<Field, void> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < VARINT_BYTES; i++) {
      const byte = view.getUint8(at++);
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) {
        return value;
      }
    }
    throw new Error(`a number of more than ${VARINT_BYTES} bytes at ${at}`);
  };
  const bytes = (length: number): Uint8Array => {
    if (length > message.length - at) {
      throw new Error(`${length} bytes at ${at}, of which ${message.length - at} are there`);
    }
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const tag = varint();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    if (number === 0 || (type !== 0 && type !== 1 && type !== 2 && type !== 5)) {
      throw new Error(`no field begins at ${at}`);
    }
    const value = type === 0 ? varint() : bytes(type === 2 ? varint() : type === 1 ? 8 : 4);
    yield { number, value };
  }
}
