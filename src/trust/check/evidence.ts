import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject } from "../../encoding/json.ts";
import { parsePem } from "../../encoding/pem.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import * as LIMITS from "../../system-limits.ts";
import type { OldMaterial } from "../found.ts";
import type { TrustFile } from "../requirement.ts";
import type { ReadBundle } from "./bundle.ts";
import type { PublicKey, SignatureFormat } from "./key.ts";
import type { Logged } from "./logged.ts";
import { bytesMessage, type Message, untrusted } from "./message.ts";
import { verifySignedEntry } from "./rekor.ts";
import { type Envelope, preAuthentication } from "./statement.ts";
import type { TrustedLog } from "./trusted-root.ts";
import { type Certificate, parseCertificate } from "./x509.ts";

/** A signature of any format with its accompanying material. None of it is verified yet. */
export interface Evidence {
  readonly signed: Message;
  /** The payload of a DSSE envelope. */
  readonly payload: Message | undefined;
  /** The JSON of a DSSE envelope that is stored by itself. */
  readonly envelope?: Message;
  readonly signature: Uint8Array;
  readonly format: SignatureFormat;
  /** What a bundle says made it: "any" for formats that don't. */
  readonly madeWith: "key" | "certificate" | "any";
  readonly certificate: Certificate | undefined;
  /** Intermediates, in no particular order. */
  readonly chain: readonly Certificate[];
  /** RFC 3161 TimeStampResp, DER. */
  readonly timestamps: readonly Uint8Array[];
  /**
   * When the logs took the signature in, milliseconds since 1970; none for entries without a time.
   * @throws DecoderError UNTRUSTED if the entry is missing, or one does not hold
   */
  logTimes(key: PublicKey, logs: readonly TrustedLog[], logged: Logged): Promise<readonly number[]>;
}

/** A signature with what cosign 2 puts beside it. @throws DecoderError UNTRUSTED */
export function plainEvidence(signed: Message, signature: Uint8Array, material: OldMaterial): Evidence {
  const { certificate, chain, rekorBundle, timestamp } = material;
  const [leaf, another] = certificate === undefined ? [] : readCertificates(certificate);
  if (certificate !== undefined && (leaf === undefined || another !== undefined))
    throw untrusted("its certificate is not one PEM certificate");
  return {
    signed,
    payload: undefined,
    signature,
    format: "plain",
    madeWith: "any",
    certificate: leaf,
    chain: chain === undefined ? [] : readCertificates(chain),
    timestamps: timestamp === undefined ? [] : [readTimestamp(timestamp)],
    async logTimes(_key, logs, logged) {
      if (rekorBundle === undefined) throw untrusted("it has no transparency log entry");
      return [await verifySignedEntry(Buffer.from(rekorBundle), logs, logged)];
    },
  };
}

/** @param json the envelope as it is stored. @throws DecoderError UNTRUSTED */
export function envelopeEvidence(envelope: Envelope, json: Uint8Array, material: OldMaterial): Evidence {
  const signed = bytesMessage(preAuthentication(envelope));
  return {
    ...plainEvidence(signed, envelope.signature, material),
    payload: bytesMessage(envelope.payload),
    envelope: bytesMessage(json),
  };
}

/** @param file what a bundle without an envelope is of. @throws DecoderError UNTRUSTED */
export function bundleEvidence(bundle: ReadBundle, file?: Message): Evidence {
  const { certificates, content, signature, timestamps } = bundle;
  const [leaf, ...others] = certificates?.map(parseCertificate) ?? [];
  // A root that comes with the signature vouches for nothing (sigstore's bundle format forbids it).
  if (others.some(({ issuer, subject }) => Buffer.compare(issuer, subject) === 0))
    throw untrusted("its bundle brings a root certificate of its own");
  const isEnvelope = content.kind === "envelope";
  const signed = isEnvelope ? bytesMessage(preAuthentication(content)) : file;
  if (signed === undefined) throw untrusted("its bundle is of a file");
  return {
    signed,
    payload: isEnvelope ? bytesMessage(content.payload) : undefined,
    signature,
    format: "bundle",
    madeWith: certificates === undefined ? "key" : "certificate",
    certificate: leaf,
    chain: others,
    timestamps,
    async logTimes(key, logs, logged) {
      const { verifyEntries } = await import("./bundle.ts");
      return await verifyEntries(bundle, key, logs, logged);
    },
  };
}

/** @throws DecoderError UNTRUSTED */
function readCertificates(pem: string, atMost: number = LIMITS.certificateChain): Certificate[] {
  const blocks = parsePem(pem, atMost + 1);
  if (blocks.length > atMost) throw untrusted("its certificate chain is too long");
  return blocks.map(({ label, body }) => {
    if (label !== "CERTIFICATE" || body === null) throw untrusted("its certificate is not well-formed PEM");
    return parseCertificate(body);
  });
}

/** The certificates of a policy's file. @throws DecoderError UNTRUSTED when it has none or a malformed one */
export function readCertificateFile({ name, bytes }: TrustFile): Certificate[] {
  const certificates = readCertificates(Buffer.from(bytes).toString("latin1"), LIMITS.trustKeys);
  if (certificates.length === 0) throw untrusted(`${name} has no certificate`);
  return certificates;
}

function readTimestamp(json: string): Uint8Array {
  let value: unknown;
  try {
    value = parseStrictJson(Buffer.from(json));
  } catch {
    throw untrusted("its timestamp is malformed: it is not JSON");
  }
  const text = isObject(value) ? value["SignedRFC3161Timestamp"] : undefined;
  const der = typeof text === "string" ? decodeBase64(text) : null;
  if (der === null) throw untrusted("its timestamp is malformed: it has no SignedRFC3161Timestamp");
  return der;
}
