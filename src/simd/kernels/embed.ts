// Embeddings: x[t] = wte[ids[t]] + wpe[positions[t]], where the model has learned positions. The rows of wte lie four side by side, as products.ts describes.

import { bytes4 } from './lanes';

/**
 * int8: each number times the scale of its row.
 * @param ids [T] int32
 * @param positions [T] int32
 * @param wte [V/4][C/8][4][8] int8
 * @param scales [V] float32
 * @param wpe [nPositions][C] float32; 0: none
 * @param C a multiple of 16
 * @param x [T][C] float32
 */
export function embedInt8(
  ids: usize,
  positions: usize,
  T: i32,
  wte: usize,
  scales: usize,
  wpe: usize,
  C: i32,
  x: usize,
): void {
  for (let t = 0; t < T; t++) {
    const id = load<i32>(ids + bytes4(t));
    let row = wte + <usize>(id & ~3) * C + <usize>((id & 3) << 3);
    const scale = v128.load32_splat(scales + bytes4(id));
    let position = wpe + bytes4(load<i32>(positions + bytes4(t)) * C);
    for (let k = 0; k < C; k += 8, row += 32, position += 32, x += 32) {
      const words = v128.load_ext<i8>(row);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words));
      const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words));
      v128.store(x, plus(f32x4.mul(low, scale), wpe, position));
      v128.store(x, plus(f32x4.mul(high, scale), wpe, position + 16), 16);
    }
  }
}

/** float32. @param wte [V/4][C/4][4][4] float32 */
export function embedFloat32(ids: usize, positions: usize, T: i32, wte: usize, wpe: usize, C: i32, x: usize): void {
  for (let t = 0; t < T; t++) {
    const id = load<i32>(ids + bytes4(t));
    let row = wte + bytes4((id & ~3) * C) + <usize>((id & 3) << 4);
    let position = wpe + bytes4(load<i32>(positions + bytes4(t)) * C);
    for (let k = 0; k < C; k += 4, row += 64, position += 16, x += 16) {
      v128.store(x, plus(v128.load(row), wpe, position));
    }
  }
}

@inline
function plus(embedding: v128, wpe: usize, position: usize): v128 {
  return wpe ? f32x4.add(embedding, v128.load(position)) : embedding;
}
