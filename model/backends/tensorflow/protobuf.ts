/**
 * Writes protocol buffers (https://protobuf.dev/programming-guides/encoding/): the few kinds of field that TensorFlow's
 * messages need. A message is its fields' bytes, one after the other.
 */
export type Message = Buffer;

export const message = (...fields: Message[]): Message => Buffer.concat(fields);

export function varint(field: number, value: number | bigint): Message {
  return Buffer.concat([bytesOfVarint(BigInt(field) << 3n), bytesOfVarint(BigInt.asUintN(64, BigInt(value)))]);
}

export function bytes(field: number, value: Uint8Array): Message {
  return Buffer.concat([bytesOfVarint((BigInt(field) << 3n) | 2n), bytesOfVarint(BigInt(value.length)), value]);
}

export const text = (field: number, value: string): Message => bytes(field, Buffer.from(value));

/** One entry of a map<string, Message>. */
export const entry = (field: number, key: string, value: Message): Message => bytes(field, message(text(1, key), bytes(2, value)));

function bytesOfVarint(value: bigint): Buffer {
  const out: number[] = [];
  for (; value > 127n; value >>= 7n) out.push(Number(value & 127n) | 128);
  out.push(Number(value));
  return Buffer.from(out);
}
