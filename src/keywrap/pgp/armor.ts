import { decodeBase64 } from "../../encoding/base64.ts";
import { malformed } from "./framing.ts";

const BEGIN = /^-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----[ \t]*\r?$/gm;
/** RFC 9580 §6.1: the checksum is optional, and not to be verified: base64 that decodes is enough. */
const CHECKSUM = /^=[A-Za-z0-9+/]{4}$/;

/**
 * The packets in a keyring, whether it is binary or ASCII-armoured (RFC 9580 §6.2). The blocks of a text are joined;
 * what stands around them is ignored.
 * @throws DecoderError BAD_PACKET
 */
export function unarmour(data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  // RFC 9580 §4.2: a packet's first bit is set, a text's is not.
  if ((data[0] ?? 0) >= 0x80) return data;
  const text = Buffer.from(data.buffer, data.byteOffset, data.length).toString("latin1");
  const blocks: Uint8Array[] = [];
  BEGIN.lastIndex = 0;
  for (let begin = BEGIN.exec(text); begin !== null; begin = BEGIN.exec(text)) {
    const end = text.indexOf(`-----END PGP ${begin[1]} KEY BLOCK-----`, BEGIN.lastIndex);
    if (end < 0) throw malformed("its ASCII armour has no end");
    blocks.push(decodeBlock(text.slice(BEGIN.lastIndex, end)));
    BEGIN.lastIndex = end;
  }
  if (blocks.length === 0) throw malformed("it is no OpenPGP keyring");
  return new Uint8Array(Buffer.concat(blocks));
}

/** Headers ("Comment: …") end at an empty line; without headers that line may be missing. */
function decodeBlock(inner: string): Uint8Array {
  const lines = inner.split("\n").map((line) => line.trim());
  const body = lines.filter((line) => !line.includes(":") && !CHECKSUM.test(line)).join("");
  const bytes = decodeBase64(body);
  if (bytes === null) throw malformed("its ASCII armour is damaged");
  return bytes;
}
