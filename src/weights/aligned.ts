// Memory that TensorFlow takes over without a copy: where it is aligned to 64 bytes. Large allocations of the C library
// begin 16 bytes into a page, so 48 bytes further on they are; elsewhere it only costs the copy.

export function alignedFloat32(length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(new ArrayBuffer(4 * length + 64), 48, length);
}
