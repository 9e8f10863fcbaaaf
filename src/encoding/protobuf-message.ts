import type { Bytes } from "./bytes.ts";
import { readVarint, varint } from "./protobuf.ts";

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
const NOTHING: readonly never[] = [];

/** A message of Protocol Buffers with repeated fields and numbers. */
export class ProtobufMessage {
  readonly #texts = new Map<number, Bytes[]>();
  readonly #numbers = new Map<number, number>();

  /** @returns null for a malformed message */
  static read(bytes: Bytes): ProtobufMessage | null {
    const message = new ProtobufMessage();
    let at: number | null = 0;
    while (at !== null && at < bytes.length) at = message.#readField(bytes, at);
    return at === null ? null : message;
  }

  /** All values of a repeated field. */
  all(number: number): readonly Bytes[] {
    return this.#texts.get(number) ?? NOTHING;
  }

  /** The messages of a repeated field; null if one is malformed. */
  messages(number: number): readonly ProtobufMessage[] | null {
    const read = this.all(number).map((it) => ProtobufMessage.read(it));
    return read.every((it) => it !== null) ? read : null;
  }

  /** The last value of a message field. An absent one reads as an empty message. @returns null for a malformed one */
  message(number: number): ProtobufMessage | null {
    return ProtobufMessage.read(this.all(number).at(-1) ?? new Uint8Array(0));
  }

  /** The last value of a text field, "" if absent. */
  text(number: number): string {
    return Buffer.from(this.all(number).at(-1) ?? []).toString();
  }

  /** The last value of a varint field, 0 if absent. */
  number(number: number): number {
    return this.#numbers.get(number) ?? 0;
  }

  /** @returns where the next field starts, or null */
  #readField(bytes: Bytes, start: number): number | null {
    const key = readVarint(bytes, start);
    if (key === null || key.value < 8) return null;
    const [number, type] = [Math.floor(key.value / 8), key.value % 8];
    if (type === FIXED64 || type === FIXED32) {
      const end = key.end + (type === FIXED64 ? 8 : 4);
      return end > bytes.length ? null : end;
    }
    const value = readVarint(bytes, key.end);
    if (value === null) return null;
    if (type === VARINT) {
      this.#numbers.set(number, value.value);
      return value.end;
    }
    if (type !== LENGTH_DELIMITED || value.value > bytes.length - value.end) return null;
    const end = value.end + value.value;
    const values = this.#texts.get(number) ?? [];
    values.push(bytes.subarray(value.end, end));
    this.#texts.set(number, values);
    return end;
  }
}

/** Writes one varint field. @param value not negative */
export function encodeNumber(number: number, value: number): Buffer {
  return Buffer.concat([varint(number * 8 + VARINT), varint(value)]);
}
