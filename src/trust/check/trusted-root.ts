import { createHash } from "node:crypto";
import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject, type JsonObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../system-limits.ts";
import type { TrustFile } from "../requirement.ts";
import { type PublicKey, readPublicKey } from "./key.ts";
import { type Certificate, parseCertificate } from "./x509.ts";

/** Milliseconds since 1970, both ends included. */
interface Validity {
  readonly start: number;
  readonly end: number;
}

/** A log whose word is taken while it was trusted: Rekor (entries) or a certificate transparency log. */
export interface TrustedLog {
  /** Undefined for a bare key of a policy, and where the trusted root has none. */
  readonly baseUrl: string | undefined;
  /** SHA-256 of the log key's SPKI; Rekor v2 and checkpoints name it by `checkpointKeyId`. */
  readonly id: Uint8Array<ArrayBuffer>;
  readonly key: PublicKey;
  readonly validity: Validity;
}

/** Whose certificates are taken while it was trusted. */
export interface TrustedAuthority {
  /** In the file's order: a timestamp signer first, then intermediates, the root last. */
  readonly certificates: readonly Certificate[];
  readonly validity: Validity;
}

/** Sigstore's trusted_root.json (protobuf-specs, sigstore_trustroot.proto). */
export interface TrustedRoot {
  readonly logs: readonly TrustedLog[];
  readonly authorities: readonly TrustedAuthority[];
  readonly certificateLogs: readonly TrustedLog[];
  readonly timestampAuthorities: readonly TrustedAuthority[];
}

const MEDIA_TYPES: ReadonlySet<unknown> = new Set([
  "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
  "application/vnd.dev.sigstore.trustedroot.v0.2+json",
]);
const FOREVER = 8_640_000_000_000_000;

/** @throws DecoderError CONFIG */
export function readTrustedRoot({ name, bytes }: TrustFile): TrustedRoot {
  const bad = (problem: string) =>
    new DecoderError("CONFIG", `${name} is not a trusted root: ${problem}`, {
      hint: "cosign trusted-root create makes one (trusted_root.json)",
    });
  let value: unknown;
  try {
    value = parseStrictJson(bytes);
  } catch (error) {
    throw bad(error instanceof SyntaxError ? error.message : "it is malformed");
  }
  if (!isObject(value)) throw bad("it is not a JSON object");
  if (!MEDIA_TYPES.has(value["mediaType"])) throw bad("its media type is unknown");
  const root = value;
  const list = (field: string): JsonObject[] => {
    const items = root[field] ?? [];
    if (!Array.isArray(items) || items.length > LIMITS.trustedRootEntries || !items.every(isObject))
      throw bad(`its ${field} are malformed`);
    return items;
  };
  const logs = (field: string) =>
    list(field).flatMap((item) => readLog(item, () => bad(`its ${field} are malformed`)));
  const authorities = (field: string) =>
    list(field).map((item) => readAuthority(item, () => bad(`its ${field} are malformed`)));
  return {
    logs: logs("tlogs"),
    authorities: authorities("certificateAuthorities"),
    certificateLogs: logs("ctlogs"),
    timestampAuthorities: authorities("timestampAuthorities"),
  };
}

/** One log, or none where its key is of a kind that is not used here: nothing verifies with it then. */
function readLog(item: JsonObject, bad: () => DecoderError): TrustedLog[] {
  const publicKey = item["publicKey"];
  const der = field(publicKey, "rawBytes");
  const validity = readValidity(isObject(publicKey) ? publicKey["validFor"] : undefined);
  const id = field(item["checkpointKeyId"] ?? item["logId"], "keyId");
  // Without a beginning, a log that was replaced for good reason would vouch for all times.
  if (der === null || id === null || validity === null || validity.start === -FOREVER) throw bad();
  const details = isObject(publicKey) && publicKey["keyDetails"];
  const isPkcs1 = typeof details === "string" && details.startsWith("PKCS1_");
  const baseUrl = typeof item["baseUrl"] === "string" && item["baseUrl"] !== "" ? item["baseUrl"] : undefined;
  try {
    return [{ baseUrl, id, key: readPublicKey(der, isPkcs1 ? "pkcs1" : "spki", "a log"), validity }];
  } catch {
    return [];
  }
}

function readAuthority(item: JsonObject, bad: () => DecoderError): TrustedAuthority {
  const chain = item["certChain"];
  const items = isObject(chain) ? chain["certificates"] : undefined;
  const validity = readValidity(item["validFor"]);
  if (
    !Array.isArray(items) ||
    items.length === 0 ||
    items.length > LIMITS.trustedRootEntries ||
    validity === null
  )
    throw bad();
  const certificates = items.map((certificate) => {
    const der = field(certificate, "rawBytes");
    if (der === null) throw bad();
    try {
      return parseCertificate(der);
    } catch {
      throw bad();
    }
  });
  return { certificates, validity };
}

function field(value: unknown, name: string): Uint8Array<ArrayBuffer> | null {
  const text = isObject(value) ? value[name] : undefined;
  const bytes = typeof text === "string" ? decodeBase64(text) : null;
  return bytes === null || bytes.length === 0 ? null : bytes;
}

/** google.protobuf.Timestamp in JSON is RFC 3339. */
function readValidity(value: unknown): Validity | null {
  if (value === undefined || value === null) return { start: -FOREVER, end: FOREVER };
  if (!isObject(value)) return null;
  const [start, end] = [readTime(value["start"], -FOREVER), readTime(value["end"], FOREVER)];
  return Number.isNaN(start) || Number.isNaN(end) ? null : { start, end };
}

function readTime(value: unknown, otherwise: number): number {
  if (value === undefined || value === null) return otherwise;
  return typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : Number.NaN;
}

/** A log that a policy names by its key alone: trusted at all times. */
export function logOfKey(key: PublicKey): TrustedLog {
  const id = new Uint8Array(createHash("sha256").update(key.spki).digest());
  return { baseUrl: undefined, id, key, validity: { start: -FOREVER, end: FOREVER } };
}

export function isValidAt({ start, end }: Validity, time: number): boolean {
  return start <= time && time <= end;
}
