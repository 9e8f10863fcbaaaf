import { type Bundle, bundleFromJSON } from "@sigstore/bundle";
import type { SignedEntity, TrustMaterial } from "@sigstore/verify";
import { decodeBase64, encodeBase64 } from "../../encoding/base64.ts";
import { isObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import * as LIMITS from "../../system-limits.ts";
import type { PublicKey } from "./key.ts";
import { checkLogged, type Logged } from "./logged.ts";
import { type HashName, type Message, untrusted } from "./message.ts";
import type { TrustedLog } from "./trusted-root.ts";

/** A Sigstore bundle (protobuf-specs, sigstore_bundle.proto), unverified. */
export interface ReadBundle {
  readonly signature: Uint8Array;
  readonly content:
    | { readonly kind: "message"; readonly hash: HashName; readonly digest: Uint8Array }
    | { readonly kind: "envelope"; readonly payloadType: string; readonly payload: Uint8Array };
  /** DER of the signer's certificate and what followed it; undefined for a bundle signed with a key. */
  readonly certificates: readonly Uint8Array[] | undefined;
  /** RFC 3161 TimeStampResp, DER. */
  readonly timestamps: readonly Uint8Array[];
  readonly entries: readonly LogEntry[];
}

type LogEntry = Bundle["verificationMaterial"]["tlogEntries"][number];

const MEDIA_TYPES: ReadonlySet<unknown> = new Set([
  "application/vnd.dev.sigstore.bundle+json;version=0.1",
  "application/vnd.dev.sigstore.bundle+json;version=0.2",
  "application/vnd.dev.sigstore.bundle+json;version=0.3",
  "application/vnd.dev.sigstore.bundle.v0.3+json",
]);
/** HashAlgorithm of protobuf-specs. */
const HASHES: ReadonlyMap<number, HashName> = new Map([
  [1, "sha256"],
  [2, "sha384"],
  [3, "sha512"],
]);

/** @throws DecoderError UNTRUSTED */
export function readBundle(json: Uint8Array): ReadBundle {
  const { bundle, content: signed } = parse(json);
  const { content, timestampVerificationData, tlogEntries } = bundle.verificationMaterial;
  const timestamps = timestampVerificationData?.rfc3161Timestamps.map((it) => it.signedTimestamp) ?? [];
  if (timestamps.length > LIMITS.signatureTimestamps || tlogEntries.length > LIMITS.logEntries)
    throw malformed("it has too many log entries or timestamps");
  const certificates =
    content.$case === "certificate"
      ? [content.certificate.rawBytes]
      : content.$case === "x509CertificateChain"
        ? content.x509CertificateChain.certificates.map(({ rawBytes }) => rawBytes)
        : undefined;
  if (certificates !== undefined && certificates.length > LIMITS.certificateChain)
    throw malformed("its certificate chain is too long");
  return { ...readContent(bundle, signed), certificates, timestamps, entries: tlogEntries };
}

/** Replaces the payload in what the library gets. The library only checks that there is one. */
const PLACEHOLDER = "AA==";

/** @returns the bundle without its payload, and the signature or payload */
function parse(json: Uint8Array): { bundle: Bundle; content: Uint8Array } {
  if (json.length > LIMITS.attestationBytes) throw malformed("it is too long");
  let value: unknown;
  try {
    value = parseStrictJson(json);
  } catch (error) {
    throw malformed(error instanceof SyntaxError ? error.message : "it is not JSON");
  }
  if (!isObject(value) || !MEDIA_TYPES.has(value["mediaType"])) throw malformed("its media type is unknown");
  // The library passes over characters that are not base64, and takes up to a second for a MiB of it.
  const { messageSignature, dsseEnvelope } = value;
  const text = isObject(messageSignature)
    ? messageSignature["signature"]
    : isObject(dsseEnvelope) && dsseEnvelope["payload"];
  const content = typeof text === "string" ? decodeBase64(text) : null;
  if (content === null) throw malformed("its signature or payload is not base64");
  const hasPayload = isObject(dsseEnvelope) && content.length > 0;
  const bundle = hasPayload ? { ...value, dsseEnvelope: { ...dsseEnvelope, payload: PLACEHOLDER } } : value;
  try {
    return { bundle: bundleFromJSON(bundle), content };
  } catch {
    throw malformed("its members are not those of its version");
  }
}

function readContent({ content }: Bundle, payload: Uint8Array): Pick<ReadBundle, "signature" | "content"> {
  if (content.$case === "dsseEnvelope") {
    const { payloadType, signatures } = content.dsseEnvelope;
    const [only] = signatures;
    // bundleFromJSON has refused all but one signature.
    if (only === undefined) throw malformed("its envelope has no signature");
    return { signature: only.sig, content: { kind: "envelope", payloadType, payload } };
  }
  const { messageDigest, signature } = content.messageSignature;
  const hash = HASHES.get(messageDigest.algorithm);
  if (hash === undefined) throw malformed("its message digest is of an unsupported algorithm");
  return { signature, content: { kind: "message", hash, digest: messageDigest.digest } };
}

function malformed(problem: string): Error {
  return untrusted(`its bundle is malformed: ${problem}`);
}

/**
 * When trusted logs took the bundle's signature in: of each entry that has such a time (Rekor v2's have none).
 * All entries of these logs must hold, and there must be one. Entries of other logs are ignored: a signer may use several
 * logs, and a verifier may trust only some of them.
 * @param key that made the signature, which has been verified
 * @returns milliseconds since 1970
 * @throws DecoderError UNTRUSTED
 */
export async function verifyEntries(
  bundle: ReadBundle,
  key: PublicKey,
  logs: readonly TrustedLog[],
  logged: Logged,
): Promise<number[]> {
  if (bundle.entries.length === 0) throw untrusted("it has no transparency log entry");
  const entries = bundle.entries.filter(({ logId }) =>
    logs.some(({ id }) => Buffer.compare(id, logId.keyId) === 0),
  );
  if (entries.length === 0)
    throw untrusted("its transparency log entry is not of a log that was trusted then");
  // The library compares neither the key nor, for every kind of entry, all three parts.
  for (const { canonicalizedBody } of entries) await checkLogged(canonicalizedBody, logged);
  const entity: SignedEntity = {
    key: { $case: "public-key", hint: "" },
    signature: await signatureContent(logged, key),
    timestamps: [],
    tlogEntries: entries,
  };
  // A bundle that was signed with a key often has no log entry, and does not need this large library.
  const { Verifier } = await import("@sigstore/verify");
  const verifier = new Verifier(trustMaterial(entries, key, logs), {
    ctlogThreshold: 0,
    timestampThreshold: 0,
    tlogThreshold: 1,
  });
  try {
    verifier.verify(entity);
  } catch (error) {
    // The library's own messages name no content of the bundle, except kinds and indexes that are shown sanitized.
    throw untrusted(
      `its transparency log entry does not hold: ${error instanceof Error ? error.message : "unknown"}`,
    );
  }
  for (const entry of entries) checkTree(entry);
  // Only a signed entry timestamp, which has just been verified, makes integratedTime more than a claim.
  return entries.flatMap(({ inclusionPromise, integratedTime }) =>
    inclusionPromise === undefined ? [] : [Number(integratedTime) * 1000],
  );
}

/** The library reads the tree's size and root from the checkpoint only. Those of the proof must equal them. */
function checkTree({ inclusionProof }: LogEntry): void {
  if (inclusionProof === undefined) return;
  const { rootHash, treeSize, checkpoint } = inclusionProof;
  const [, size, root] = checkpoint?.envelope.split("\n") ?? [];
  if (size !== treeSize || root !== encodeBase64(rootHash))
    throw untrusted(
      "its inclusion proof is of another tree than its checkpoint: the root hash does not match",
    );
}

async function signatureContent(logged: Logged, key: PublicKey): Promise<SignedEntity["signature"]> {
  const isOneOf = async (message: Message | undefined) => {
    const hashes: HashName[] = ["sha256", key.ownHash];
    const digests =
      message === undefined ? [] : await Promise.all(hashes.map((hash) => message.digest(hash)));
    return (digest: Uint8Array) => digests.some((it) => Buffer.compare(it, digest) === 0);
  };
  return {
    signature: Buffer.from(logged.signature),
    compareSignature: (signature) => Buffer.compare(signature, logged.signature) === 0,
    compareDigest: await isOneOf(logged.payload ?? logged.signed),
    compareSignedDigest: await isOneOf(logged.signed),
    // It was verified before, over the whole message, with the hash that the key demands.
    verifySignature: () => true,
  };
}

/** Entries of Rekor v2, whose logs are identified by name and key (C2SP tlog-checkpoint). Rekor v1 uses the key only. */
const REKOR_V2 = "0.0.2";
const REKOR_V2_KINDS: ReadonlySet<string> = new Set(["hashedrekord", "dsse"]);

function trustMaterial(
  entries: readonly LogEntry[],
  { key }: PublicKey,
  logs: readonly TrustedLog[],
): TrustMaterial {
  const isNamed = entries.some(
    ({ kindVersion: { kind, version } }) => version === REKOR_V2 && REKOR_V2_KINDS.has(kind),
  );
  // The library looks for the checkpoint's name in the log's address. A Rekor v1 has a name of its own, which need not be
  // in its address, and a policy's bare log key has no address.
  const anyName = entries.map(({ inclusionProof }) => inclusionProof?.checkpoint?.envelope ?? "").join("");
  return {
    certificateAuthorities: [],
    timestampAuthorities: [],
    ctlogs: [],
    tlogs: logs.map(({ id, baseUrl, key: log, validity }) => ({
      logID: Buffer.from(id),
      baseURL: isNamed ? (baseUrl ?? anyName) : anyName,
      publicKey: log.key,
      validFor: { start: new Date(validity.start), end: new Date(validity.end) },
    })),
    publicKey: () => ({ publicKey: key, validFor: () => true }),
  };
}
