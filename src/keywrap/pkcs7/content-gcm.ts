import { createDecipheriv } from "node:crypto";
import { type BerElement, Fields, malformed, readChildren } from "../../encoding/ber.ts";
import { readSmallInteger, TAG } from "../../encoding/der.ts";
import { Secret } from "../../secret.ts";
import type { EncryptedContent, SealedContent } from "./content.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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
/** RFC 5084 §3.2: aes-ICVlen is 12 to 16, and 12 when left out. */
const ICV_MIN = 12;
const ICV_MAX = 16;

/** @throws DecoderError BAD_PACKET */
export function readGcm(
  { cipher, keyLength }: GcmAlgorithm,
  parameters: BerElement | undefined,
  { ciphertext, mac, attributes }: EncryptedContent,
): SealedContent {
  const { nonce, icvLength } = readGcmParameters(parameters);
  // The peers take nothing but a whole tag at the content's end.
  const split = mac === undefined ? ciphertext.length - TAG_BYTES : ciphertext.length;
  const tag = mac ?? ciphertext.slice(Math.max(split, 0));
  if (split < 0 || tag.length !== icvLength) throw malformed("an authentication tag of another length");
  const content = {
    cipher,
    nonce,
    ciphertext: ciphertext.subarray(0, split),
    tag,
    attributes: attributes ?? new Uint8Array(),
  };
  return { keyLength, open: (key) => decrypt(content, key) };
}

/** Null when the tag does not hold. */
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
 * GCMParameters ::= SEQUENCE { OCTET STRING nonce, INTEGER icvLength } (RFC 5084 §3.2). The peers put theirs into one
 * more SEQUENCE, whose tag lacks the constructed bit, and tag the nonce [4].
 */
const PRIMITIVE_SEQUENCE = 0x10;
const CONTEXT_4 = 0x84;

function readGcmParameters(parameters: BerElement | undefined): {
  readonly nonce: Bytes;
  readonly icvLength: number;
} {
  if (parameters?.tag !== TAG.SEQUENCE && parameters?.tag !== PRIMITIVE_SEQUENCE)
    throw malformed("no GCM parameters");
  const [first, ...others] = readChildren(parameters);
  const wrapped = first?.tag === TAG.SEQUENCE && others.length === 0;
  const fields = new Fields(wrapped ? first : parameters, "GCMParameters");
  const nonce = fields.required(TAG.OCTET_STRING, CONTEXT_4).content;
  const length = fields.optional(TAG.INTEGER);
  fields.end();
  const icvLength = length === undefined ? ICV_MIN : readSmallInteger(length);
  if (nonce.length !== NONCE_BYTES) throw malformed(`a nonce of ${nonce.length} bytes`);
  if (icvLength === null || icvLength < ICV_MIN || icvLength > ICV_MAX)
    throw malformed("an impossible tag length");
  return { nonce, icvLength };
}
