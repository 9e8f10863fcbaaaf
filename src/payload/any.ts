import { DecoderError } from "../errors.ts";

/** What containerd wraps the payload in, and its only type (imgcrypt `RegisterType`). */
export const PAYLOAD_TYPE = "io.containerd.ocicrypt.v1.Payload";

export interface Any {
  readonly typeUrl: string;
  readonly value: Uint8Array<ArrayBuffer>;
}

/** Protobuf wire types (encoding spec, "Message Structure"). */
const VARINT = 0;
const I64 = 1;
const LEN = 2;
const I32 = 5;

const TYPE_URL_FIELD = 1;
const VALUE_FIELD = 2;

/**
 * Parses a google.protobuf.Any: fields in any order, unknown ones skipped, the last of each counts, groups refused.
 * @throws DecoderError BAD_PAYLOAD
 */
export function parseAny(bytes: Uint8Array<ArrayBuffer>): Any {
  const reader = new Reader(bytes);
  let typeUrl = "";
  let value = new Uint8Array(0);
  while (!reader.atEnd) {
    const key = reader.varint();
    const [field, wireType] = [Math.floor(key / 8), key % 8];
    if (field === 0) throw malformed("has a field number 0");
    if (wireType === LEN) {
      const content = reader.take(reader.varint());
      if (field === TYPE_URL_FIELD) typeUrl = Buffer.from(content).toString("utf8");
      if (field === VALUE_FIELD) value = content;
    } else if (field === TYPE_URL_FIELD || field === VALUE_FIELD)
      throw malformed("has a field of the wrong type");
    else if (wireType === VARINT) reader.varint();
    else if (wireType === I64) reader.take(8);
    else if (wireType === I32) reader.take(4);
    else throw malformed("has a field of an unknown type");
  }
  return { typeUrl, value };
}

class Reader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #offset = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  /** Up to ten octets. What is above 2^53 is not exact, but then it is larger than anything it could be a length of. */
  varint(): number {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const octet = this.#bytes[this.#offset++];
      if (octet === undefined) throw malformed("is cut off");
      value += (octet & 0x7f) * 2 ** (7 * i);
      if (octet < 0x80) return value;
    }
    throw malformed("has a number of more than ten octets");
  }

  take(length: number): Uint8Array<ArrayBuffer> {
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw malformed("is cut off");
    const content = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return content;
  }
}

function malformed(what: string): DecoderError {
  return new DecoderError("BAD_PAYLOAD", `the payload that containerd passed ${what}`);
}
