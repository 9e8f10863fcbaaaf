import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { parsePem } from "../../encoding/pem.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../limits.ts";
import * as SYSTEM_LIMITS from "../../system-limits.ts";
import { markHint } from "../byte-order-mark.ts";
import type { TrustFile } from "../requirement.ts";
import type { Message } from "./message.ts";

/** A public key that signatures may be checked with. */
export interface PublicKey {
  readonly key: KeyObject;
  /** SubjectPublicKeyInfo in DER: keys are the same when these bytes are. */
  readonly spki: Uint8Array<ArrayBuffer>;
  /** `sha256:<hex>` of `spki`. */
  readonly fingerprint: string;
  readonly algorithm: "ec" | "rsa" | "ed25519";
  /** The hash of the key's size, which Sigstore's bundles use (their algorithm registry). */
  readonly ownHash: "sha256" | "sha384" | "sha512";
}

/** How the bytes are hashed is the format's choice and the key's, never the signature's. */
export type SignatureFormat =
  /** cosign's simple signing, its DSSE envelopes, and signatures in files: SHA-256. */
  | "plain"
  /** Sigstore bundles: SHA-256, or the hash of the key's size. */
  | "bundle";

const CURVES: ReadonlyMap<string, PublicKey["ownHash"]> = new Map([
  ["prime256v1", "sha256"],
  ["secp384r1", "sha384"],
  ["secp521r1", "sha512"],
]);
const KEY_LABELS: ReadonlyMap<string, "spki" | "pkcs1"> = new Map([
  ["PUBLIC KEY", "spki"],
  ["RSA PUBLIC KEY", "pkcs1"],
]);
const ED25519_SIGNATURE_BYTES = 64;
const EXPONENT_LEAST = 3n;

/**
 * The public keys of a PEM file: one, or several of which any may have signed.
 * @throws DecoderError BAD_KEY
 */
export function readPublicKeys({ name, bytes }: TrustFile): PublicKey[] {
  const blocks = parsePem(Buffer.from(bytes).toString("latin1"), SYSTEM_LIMITS.trustKeys + 1);
  if (blocks.length > SYSTEM_LIMITS.trustKeys)
    throw badKey(name, `has more than ${SYSTEM_LIMITS.trustKeys} keys`);
  if (blocks.length === 0) {
    const hint = markHint(bytes) ?? "a public key is PEM with -----BEGIN PUBLIC KEY-----";
    throw badKey(name, "has no public key", hint);
  }
  return blocks.map(({ label, body }) => {
    const type = KEY_LABELS.get(label);
    if (type === undefined) {
      const hint = label.includes("PRIVATE") ? "name the public half of the key" : "name a PUBLIC KEY";
      throw badKey(name, `holds "${label}", which is not a public key`, hint);
    }
    if (body === null) throw badKey(name, "has a public key that is not base64");
    return readPublicKey(body, type, name);
  });
}

/** @throws DecoderError BAD_KEY for what is malformed, too short or of another kind */
export function readPublicKey(der: Uint8Array, type: "spki" | "pkcs1", name: string): PublicKey {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(der), format: "der", type });
  } catch {
    throw badKey(name, "has a malformed public key");
  }
  return allowedKey(key, name);
}

/** @throws DecoderError BAD_KEY for a key that is too short or of a kind that is not used for signatures here */
export function allowedKey(key: KeyObject, name: string): PublicKey {
  const spki = new Uint8Array(key.export({ format: "der", type: "spki" }));
  const fingerprint = `sha256:${createHash("sha256").update(spki).digest("hex")}`;
  const type = key.asymmetricKeyType;
  const details = key.asymmetricKeyDetails ?? {};
  if (type === "ed25519") return { key, spki, fingerprint, algorithm: "ed25519", ownHash: "sha512" };
  if (type === "ec") {
    const ownHash = CURVES.get(details.namedCurve ?? "");
    if (ownHash === undefined) {
      throw badKey(name, `has a key on the unsupported curve ${details.namedCurve ?? "of its own"}`);
    }
    return { key, spki, fingerprint, algorithm: "ec", ownHash };
  }
  if (type !== "rsa") throw badKey(name, `has a key of the unsupported algorithm ${type ?? "unknown"}`);
  const bits = details.modulusLength ?? 0;
  if (bits < LIMITS.rsaBitsMin || bits > LIMITS.rsaBitsMax) {
    throw badKey(name, `has an RSA key of ${bits} bits, not ${LIMITS.rsaBitsMin} to ${LIMITS.rsaBitsMax}`);
  }
  if ((details.publicExponent ?? 0n) < EXPONENT_LEAST)
    throw badKey(name, "has an RSA key that protects nothing");
  return { key, spki, fingerprint, algorithm: "rsa", ownHash: "sha256" };
}

/** Whether the key made this signature of the message: ECDSA in DER, RSA with PKCS#1 v1.5 padding, or pure Ed25519. */
export async function verifyWith(
  key: PublicKey,
  message: Message,
  signature: Uint8Array,
  format: SignatureFormat,
): Promise<boolean> {
  if (key.algorithm === "ed25519") return await message.verify(key.key, null, signature);
  if (await message.verify(key.key, "sha256", signature)) return true;
  if (format === "plain" || key.ownHash === "sha256") return false;
  return await message.verify(key.key, key.ownHash, signature);
}

/** cosign 3.1 signs payloads with Ed25519ph, which no verifier accepts, its own included. */
export function ed25519Advice(keys: readonly PublicKey[], signature: Uint8Array): string {
  const isLikely = keys.some(({ algorithm }) => algorithm === "ed25519");
  return isLikely && signature.length === ED25519_SIGNATURE_BYTES
    ? " (Ed25519ph, which cosign 3 writes, is not supported)"
    : "";
}

function badKey(name: string, problem: string, hint?: string): DecoderError {
  return new DecoderError("BAD_KEY", `${name} ${problem}`, hint === undefined ? {} : { hint });
}
