import { createDecipheriv } from "node:crypto";
import { type BerElement, Fields, malformed, readChildren } from "../../encoding/ber.ts";
import type { Bytes } from "../../encoding/bytes.ts";
import { readSmallInteger, TAG } from "../../encoding/der.ts";
import { Secret } from "../../secret.ts";
import type { EncryptedContent } from "./envelope.ts";

interface GcmContent {
  readonly cipher: GcmCipher;
  readonly nonce: Bytes;
  readonly ciphertext: Bytes;
  readonly tag: Bytes;
  readonly attributes: Bytes;
}

type GcmCipher = "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm";

interface GcmAlgorithm {
  readonly cipher: GcmCipher;
  readonly keyLength: number;
}

/** RFC 5084 §3.2. */
export const GCM: ReadonlyMap<string, GcmAlgorithm> = new Map([
  ["608648016503040106", { cipher: "aes-128-gcm", keyLength: 16 }],
  ["60864801650304011a", { cipher: "aes-192-gcm", keyLength: 24 }],
  ["60864801650304012e", { cipher: "aes-256-gcm", keyLength: 32 }],
]);

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** RFC 5084 §3.2: aes-ICVlen is 12 to 16, and 12 by default. */
const ICV_MIN = 12;
const ICV_MAX = 16;

/**
 * Reads AES-GCM content.
 * @returns what opens it with the content key; null for a tag that does not hold
 * @throws DecoderError BAD_PACKET
 */
export function readGcm(
  cipher: GcmCipher,
  parameters: BerElement | undefined,
  { ciphertext, mac, attributes }: EncryptedContent,
): (key: Bytes) => Secret | null {
  const { nonce, icvLength } = readGcmParameters(parameters);
  // The peers accept only a whole tag at the end of the content.
  const split = mac === undefined ? ciphertext.length - TAG_BYTES : ciphertext.length;
  const tag = mac ?? ciphertext.slice(Math.max(split, 0));
  if (split < 0 || tag.length !== icvLength)
    throw malformed("its authentication tag has another length than its parameters say");
  const content = {
    cipher,
    nonce,
    ciphertext: ciphertext.subarray(0, split),
    tag,
    attributes: attributes ?? new Uint8Array(),
  };
  return (key) => decrypt(content, key);
}

function decrypt(content: GcmContent, key: Bytes): Secret | null {
  const { cipher, nonce, ciphertext, tag, attributes } = content;
  const decipher = createDecipheriv(cipher, key, nonce, { authTagLength: tag.length });
  decipher.setAAD(attributes);
  decipher.setAuthTag(tag);
  const text = decipher.update(ciphertext);
  try {
    decipher.final();
  } catch {
    text.fill(0);
    return null;
  }
  const options = new Uint8Array(text);
  text.fill(0);
  return new Secret(options);
}

/**
 * GCMParameters ::= SEQUENCE { OCTET STRING nonce, INTEGER icvLength } (RFC 5084 §3.2). The peers wrap theirs in one more
 * SEQUENCE, whose tag lacks the constructed bit, and tag the nonce [4].
 */
const PRIMITIVE_SEQUENCE = 0x10;
const CONTEXT_4 = 0x84;

function readGcmParameters(parameters: BerElement | undefined): {
  readonly nonce: Bytes;
  readonly icvLength: number;
} {
  if (parameters?.tag !== TAG.SEQUENCE && parameters?.tag !== PRIMITIVE_SEQUENCE)
    throw malformed("it has no GCM parameters");
  const [first, ...others] = readChildren(parameters);
  const wrapped = first?.tag === TAG.SEQUENCE && others.length === 0;
  const fields = new Fields(wrapped ? first : parameters, "GCMParameters");
  const nonce = fields.required(TAG.OCTET_STRING, CONTEXT_4).content;
  const length = fields.optional(TAG.INTEGER);
  fields.end();
  const icvLength = length === undefined ? ICV_MIN : readSmallInteger(length);
  if (nonce.length !== NONCE_BYTES)
    throw malformed(`its nonce has ${nonce.length} bytes instead of ${NONCE_BYTES}`);
  if (icvLength === null || icvLength < ICV_MIN || icvLength > ICV_MAX)
    throw malformed("its GCM parameters have an impossible tag length");
  return { nonce, icvLength };
}
