import type { Bytes } from "../encoding/bytes.ts";

/** RFC 9580 §5: packet type IDs. */
const SECRET_KEY = 5;
const PUBLIC_KEY = 6;
const SECRET_SUBKEY = 7;

/** The kind of keys in binary OpenPGP data, by its packet headers. Undefined when it holds no keys. */
export function pgpKind(data: Bytes): "secret" | "public" | undefined {
  const first = packetType(data[0] ?? 0);
  if (!isSecret(first) && first !== PUBLIC_KEY) return undefined;
  // A file with both halves may begin with the public one.
  for (let at = 0; at < data.length; at = nextPacket(data, at)) {
    if (isSecret(packetType(data[at] ?? 0))) return "secret";
  }
  return "public";
}

function isSecret(type: number): boolean {
  return type === SECRET_KEY || type === SECRET_SUBKEY;
}

/** RFC 9580 §4.2: the type in a header's first octet, current or legacy. 0, which is reserved, when it is not a header. */
function packetType(first: number): number {
  if (first < 0x80) return 0;
  return (first & 0x40) !== 0 ? first & 0x3f : (first >> 2) & 0x0f;
}

/** The offset of the next packet. The end of the data after a malformed header or an indefinite length, which keys don't have. */
function nextPacket(data: Bytes, at: number): number {
  const [header = 0, first = 0, second = 0] = data.subarray(at);
  if (header < 0x80) return data.length;
  const number = (from: number, octets: number) =>
    data.subarray(from, from + octets).reduce((value, octet) => value * 256 + octet, 0);
  if ((header & 0x40) === 0) {
    const octets = 1 << (header & 3);
    return octets === 8 ? data.length : at + 1 + octets + number(at + 1, octets);
  }
  if (first < 192) return at + 2 + first;
  if (first < 224) return at + 3 + ((first - 192) << 8) + second + 192;
  return first < 255 ? data.length : at + 6 + number(at + 2, 4);
}
