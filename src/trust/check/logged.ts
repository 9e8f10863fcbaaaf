import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject } from "../../encoding/json.ts";
import { parsePem } from "../../encoding/pem.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import { readPublicKey } from "./key.ts";
import { type HashName, type Message, untrusted } from "./message.ts";

/** What a log entry must be about, all of it: leaving out one comparison was CVE-2022-36056 and CVE-2026-22703. */
export interface Logged {
  /** The bytes that were signed. */
  readonly signed: Message;
  /** The payload of a DSSE envelope; undefined for a signature that is not in one. */
  readonly payload: Message | undefined;
  /** The JSON of a DSSE envelope that is stored by itself. */
  readonly envelope?: Message | undefined;
  readonly signature: Uint8Array;
  /** DER of the certificate or public key (SPKI) that signed. */
  readonly verifier: Uint8Array;
}

/** The content of a log entry of any kind. */
interface Entry {
  readonly digest: { readonly hash: HashName; readonly value: Uint8Array } | null;
  readonly signature: Uint8Array | null;
  readonly verifier: Uint8Array | null;
  /** What `digest` covers. An entry for a whole envelope has no signature of its own, because the envelope contains it. */
  readonly of: "signed" | "payload" | "envelope";
}

/** `kind` and `apiVersion` → how such an entry is read (sigstore/rekor pkg/types; rekor-tiles' Entry for 0.0.2). */
const KINDS: ReadonlyMap<string, (spec: unknown) => Entry> = new Map([
  ["hashedrekord 0.0.1", readHashedrekord],
  ["hashedrekord 0.0.2", readHashedrekordV2],
  ["dsse 0.0.1", readDsse],
  ["dsse 0.0.2", readDsseV2],
  ["intoto 0.0.1", readIntotoV1],
  ["intoto 0.0.2", readIntoto],
]);

/**
 * Compares the body of a log entry with the signature that it is to vouch for.
 * @param body JSON, as the log has it
 * @throws DecoderError UNTRUSTED
 */
export async function checkLogged(body: Uint8Array, logged: Logged): Promise<void> {
  const { digest, signature, verifier, of } = readEntry(body);
  const content = logged[of];
  if (digest === null || content === undefined || !isSame(digest.value, await content.digest(digest.hash)))
    throw untrusted("its log entry is of other content: the digest does not match");
  if (of !== "envelope" && !isSame(signature, logged.signature))
    throw untrusted("its log entry is of another signature");
  if (!isSame(verifier, logged.verifier)) throw untrusted("its log entry is of another key or certificate");
}

function isSame(a: Uint8Array | null, b: Uint8Array): boolean {
  return a !== null && b.length > 0 && Buffer.compare(a, b) === 0;
}

function readEntry(bytes: Uint8Array): Entry {
  let body: unknown;
  try {
    body = parseStrictJson(bytes);
  } catch (error) {
    throw untrusted(
      `its log entry is malformed: ${error instanceof SyntaxError ? error.message : "it is not JSON"}`,
    );
  }
  // An object need not become a text: its own toString may be anything.
  const names = [at(body, "kind"), at(body, "apiVersion")].map((it) => (typeof it === "string" ? it : "?"));
  const kind = names.join(" ");
  const read = KINDS.get(kind);
  if (read === undefined) throw untrusted(`its log entry is of the unsupported kind ${JSON.stringify(kind)}`);
  return read(at(body, "spec"));
}

function readHashedrekord(spec: unknown): Entry {
  return {
    digest: hexDigest(at(spec, "data", "hash")),
    signature: base64Field(at(spec, "signature", "content")),
    verifier: pemField(at(spec, "signature", "publicKey", "content")),
    of: "signed",
  };
}

function readHashedrekordV2(spec: unknown): Entry {
  const entry = at(spec, "hashedRekordV002");
  return {
    digest: protobufDigest(at(entry, "data")),
    ...readSignatureV2(at(entry, "signature")),
    of: "signed",
  };
}

function readDsse(spec: unknown): Entry {
  const signature = only(at(spec, "signatures"));
  return {
    digest: hexDigest(at(spec, "payloadHash")),
    signature: base64Field(at(signature, "signature")),
    verifier: pemField(at(signature, "verifier")),
    of: "payload",
  };
}

function readDsseV2(spec: unknown): Entry {
  const entry = at(spec, "dsseV002");
  return {
    digest: protobufDigest(at(entry, "payloadHash")),
    ...readSignatureV2(only(at(entry, "signatures"))),
    of: "payload",
  };
}

/** What cosign wrote for attestations before it had dsse entries, and still writes on request. */
function readIntotoV1(spec: unknown): Entry {
  return {
    digest: hexDigest(at(spec, "content", "hash")),
    signature: null,
    verifier: pemField(at(spec, "publicKey")),
    of: "envelope",
  };
}

function readIntoto(spec: unknown): Entry {
  const content = at(spec, "content");
  const signature = only(at(content, "envelope", "signatures"));
  // Rekor puts the envelope's base64 into base64 once more.
  const inner = base64Field(at(signature, "sig"));
  return {
    digest: hexDigest(at(content, "payloadHash")),
    signature: inner && decodeBase64(Buffer.from(inner).toString("latin1")),
    verifier: pemField(at(signature, "publicKey")),
    of: "payload",
  };
}

function readSignatureV2(signature: unknown): Pick<Entry, "signature" | "verifier"> {
  const verifier = at(signature, "verifier");
  return {
    signature: base64Field(at(signature, "content")),
    verifier:
      base64Field(at(verifier, "x509Certificate", "rawBytes")) ??
      normalKey(base64Field(at(verifier, "publicKey", "rawBytes"))),
  };
}

/** The member at the end of a way through nested objects. */
function at(value: unknown, ...names: readonly string[]): unknown {
  let found = value;
  for (const name of names) found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
  return found;
}

function only(value: unknown): unknown {
  return Array.isArray(value) && value.length === 1 ? value[0] : undefined;
}

function base64Field(value: unknown): Uint8Array<ArrayBuffer> | null {
  return typeof value === "string" ? decodeBase64(value) : null;
}

/** Names of hash functions → hexadecimal digits. */
const HEX_DIGITS: ReadonlyMap<unknown, readonly [HashName, number]> = new Map([
  ["sha256", ["sha256", 64]],
  ["sha384", ["sha384", 96]],
  ["sha512", ["sha512", 128]],
]);

function hexDigest(hash: unknown): Entry["digest"] {
  const value = at(hash, "value");
  const known = HEX_DIGITS.get(at(hash, "algorithm"));
  if (known === undefined || typeof value !== "string") return null;
  const [name, digits] = known;
  const isHex = value.length === digits && /^[0-9a-f]+$/.test(value);
  return isHex ? { hash: name, value: Buffer.from(value, "hex") } : null;
}

/** HashAlgorithm of protobuf-specs. */
const SHA2: ReadonlyMap<unknown, HashName> = new Map([
  ["SHA2_256", "sha256"],
  ["SHA2_384", "sha384"],
  ["SHA2_512", "sha512"],
]);

function protobufDigest(output: unknown): Entry["digest"] {
  const hash = SHA2.get(at(output, "algorithm"));
  const value = base64Field(at(output, "digest"));
  return hash === undefined || value === null ? null : { hash, value };
}

/** base64 of PEM → DER of the certificate or key. */
function pemField(value: unknown): Uint8Array | null {
  const pem = base64Field(value);
  const [block, another] = pem === null ? [] : parsePem(Buffer.from(pem).toString("latin1"), 2);
  if (block === undefined || another !== undefined) return null;
  return block.label === "CERTIFICATE" ? block.body : normalKey(block.body);
}

/** One key has one SPKI here, as node:crypto writes it. */
function normalKey(der: Uint8Array | null): Uint8Array | null {
  if (der === null) return null;
  try {
    return readPublicKey(der, "spki", "the log entry").spki;
  } catch {
    return null;
  }
}
