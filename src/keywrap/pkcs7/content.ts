import { createDecipheriv } from "node:crypto";
import { DecoderError } from "../../errors.ts";
import { readOid, readSmallInteger, TAG } from "../../keys/der.ts";
import { LIMITS } from "../../limits.ts";
import { Secret } from "../../secret.ts";
import { type BerElement, Fields, malformed, readChildren } from "./ber.ts";
import { dotted } from "./oid.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What a packet's recipients share: the encrypted private options, not judged yet. */
export interface EncryptedContent {
  /** AlgorithmIdentifier. */
  readonly algorithm: BerElement;
  readonly ciphertext: Bytes;
  /** AuthEnvelopedData's `mac`; undefined in EnvelopedData, where it ends the ciphertext. */
  readonly mac?: Bytes;
  /** AuthEnvelopedData's authAttrs as they are authenticated (RFC 5083 §2.2). */
  readonly attributes?: Bytes;
}

export interface GcmContent {
  readonly cipher: GcmCipher;
  /** Of the content key, in bytes. */
  readonly keyLength: number;
  readonly nonce: Bytes;
  readonly ciphertext: Bytes;
  readonly tag: Bytes;
  readonly attributes: Bytes;
}

type GcmCipher = "aes-128-gcm" | "aes-192-gcm" | "aes-256-gcm";

/** RFC 5084 §3.2. */
const GCM: ReadonlyMap<string, { readonly cipher: GcmCipher; readonly keyLength: number }> = new Map([
  ["608648016503040106", { cipher: "aes-128-gcm", keyLength: 16 }],
  ["60864801650304011a", { cipher: "aes-192-gcm", keyLength: 24 }],
  ["60864801650304012e", { cipher: "aes-256-gcm", keyLength: 32 }],
]);

/** What other CMS writers use by default, named to say why it is refused. */
const UNAUTHENTICATED: ReadonlyMap<string, string> = new Map([
  ["608648016503040102", "AES-128-CBC"],
  ["608648016503040116", "AES-192-CBC"],
  ["60864801650304012a", "AES-256-CBC"],
  ["2a864886f70d0307", "3DES-CBC"],
  ["2b0e030207", "DES-CBC"],
  ["2a864886f70d0302", "RC2-CBC"],
]);

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** RFC 5084 §3.2: aes-ICVlen is 12 to 16, and 12 when left out. */
const ICV_MIN = 12;
const ICV_MAX = 16;

/**
 * Checks the content before any key is used on it.
 * @throws DecoderError BAD_PACKET for an algorithm that isn't AES-GCM, or parameters out of bounds
 */
export function readContent({ algorithm, ciphertext, mac, attributes }: EncryptedContent): GcmContent {
  const fields = new Fields(algorithm, "AlgorithmIdentifier");
  const oid = readOid(fields.required(TAG.OID)) ?? "";
  const row = GCM.get(oid);
  if (row === undefined) throw refused(oid);
  if (ciphertext.length > LIMITS.privateOptionsBytes) throw malformed("more content than any layer key has");
  const { nonce, icvLength } = readGcmParameters(fields.any());
  // The peers take nothing but a whole tag at the content's end.
  const split = mac === undefined ? ciphertext.length - TAG_BYTES : ciphertext.length;
  const tag = mac ?? ciphertext.slice(Math.max(split, 0));
  if (split < 0 || tag.length !== icvLength) throw malformed("an authentication tag of another length");
  return {
    ...row,
    nonce,
    ciphertext: ciphertext.subarray(0, split),
    tag,
    attributes: attributes ?? new Uint8Array(),
  };
}

/** @returns the private options, or null when the tag doesn't hold: a wrong key, or a changed packet */
export function decryptContent(content: GcmContent, key: Bytes): Secret | null {
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

function refused(oid: string): DecoderError {
  const name = UNAUTHENTICATED.get(oid);
  const hint = "wrap the layer's key with AES-GCM: skopeo, ctr-enc and this tool's rewrap do";
  if (name === undefined) {
    return new DecoderError("BAD_PACKET", `the PKCS#7 content's algorithm ${dotted(oid)} is not AES-GCM`, {
      hint,
    });
  }
  const why =
    "it is not authenticated, so whoever passes it on can change the layer's key or find it out by trial";
  return new DecoderError("BAD_PACKET", `the PKCS#7 content is encrypted with ${name} and refused: ${why}`, {
    hint,
  });
}
