import { DecoderError } from "../errors.ts";
import { decodeBase64 } from "./base64.ts";
import { type Bytes, concat } from "./bytes.ts";

const BEGIN = /^-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----[ \t]*\r?$/gm;
/** RFC 9580 §6.1: the checksum is optional and must not be verified. */
const CHECKSUM = /^=[A-Za-z0-9+/]{4}$/;

/**
 * Returns a keyring's packets, whether it is binary or ASCII-armoured (RFC 9580 §6.2). The blocks of a text are joined, and
 * the text around them is ignored.
 * @throws DecoderError BAD_PACKET
 */
export function unarmour(data: Bytes): Bytes {
  // RFC 9580 §4.2: the first bit of a packet is set, that of a text is not.
  if ((data[0] ?? 0) >= 0x80) return data;
  const text = Buffer.from(data.buffer, data.byteOffset, data.length).toString("latin1");
  const blocks: Uint8Array[] = [];
  BEGIN.lastIndex = 0;
  for (let begin = BEGIN.exec(text); begin !== null; begin = BEGIN.exec(text)) {
    const end = text.indexOf(`-----END PGP ${begin[1]} KEY BLOCK-----`, BEGIN.lastIndex);
    if (end < 0) throw bad("its ASCII armour has no end");
    blocks.push(decodeBlock(text.slice(BEGIN.lastIndex, end)));
    BEGIN.lastIndex = end;
  }
  if (blocks.length === 0) throw bad("it is not an OpenPGP keyring");
  return concat(...blocks);
}

/** Headers ("Comment: …") end with an empty line, which may be missing when there are none. */
function decodeBlock(inner: string): Uint8Array {
  const lines = inner.split("\n").map((line) => line.trim());
  const body = lines.filter((line) => !line.includes(":") && !CHECKSUM.test(line)).join("");
  const bytes = decodeBase64(body);
  if (bytes === null) throw bad("its ASCII armour is damaged");
  return bytes;
}

function bad(message: string): DecoderError {
  return new DecoderError("BAD_PACKET", message);
}
