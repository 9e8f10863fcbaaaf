import { type Bytes, concat } from "./bytes.ts";

/** The part of the Protocol Buffers encoding that messages of bytes and text fields need. */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** 64 bits, 7 to a byte. */
const VARINT_BYTES = 10;

/**
 * Reads the bytes and text fields of a message by number, as views. Fields may come in any order, the last duplicate wins,
 * and fields of other types are skipped.
 * @returns null for a malformed message, or one with groups, which proto3 does not have
 */
export function decodeFields(message: Bytes): ReadonlyMap<number, Bytes> | null {
  const fields = new Map<number, Bytes>();
  let at = 0;
  while (at < message.length) {
    const key = readVarint(message, at);
    if (key === null || key.value < 8) return null; // field numbers start at 1
    at = key.end;
    const number = Math.floor(key.value / 8);
    const type = key.value % 8;
    if (type === LENGTH_DELIMITED) {
      const length = readVarint(message, at);
      if (length === null || length.value > message.length - length.end) return null;
      at = length.end + length.value;
      fields.set(number, message.subarray(length.end, at));
    } else {
      const end = skip(message, at, type);
      if (end === null) return null;
      at = end;
    }
  }
  return fields;
}

/** Writes one bytes or text field. */
export function encodeField(number: number, value: Uint8Array): Bytes {
  return concat(varint(number * 8 + LENGTH_DELIMITED), varint(value.length), value);
}

function skip(message: Uint8Array, at: number, type: number): number | null {
  if (type === VARINT) return readVarint(message, at)?.end ?? null;
  const size = type === FIXED64 ? 8 : type === FIXED32 ? 4 : null;
  return size === null || size > message.length - at ? null : at + size;
}

export function readVarint(message: Uint8Array, start: number): { value: number; end: number } | null {
  let value = 0;
  for (let i = 0; i < VARINT_BYTES; i++) {
    const byte = message[start + i];
    if (byte === undefined) return null;
    // Rounding above 2^53 is harmless: no length and no field number is that large.
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: start + i + 1 };
  }
  return null;
}

export function varint(value: number): Bytes {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
