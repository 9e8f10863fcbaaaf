/** A Fulcio, Rekor, certificate log and timestamp authority of the tests' own. Every part of what they write can be wrong. */
import { createHash, generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto";
import { TAG, writeElement, writeInteger, writeOid } from "../../src/encoding/der.ts";

const UTF8_STRING = 0x0c;
const SET = 0x31;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const BOOLEAN = 0x01;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const ECDSA_SHA256 = "2a8648ce3d040302";
const SHA256 = "608648016503040201";
const SHA512 = "608648016503040203";
const COMMON_NAME = "550403";
const SIGNED_DATA = "2a864886f70d010702";
const TST_INFO = "2a864886f70d0109100104";
const CONTENT_TYPE = "2a864886f70d010903";
const MESSAGE_DIGEST = "2a864886f70d010904";
export const CODE_SIGNING = "2b06010505070303";
export const TIME_STAMPING = "2b06010505070308";
export const SCT_LIST = "2b06010401d679020402";
export const FULCIO = (arc: string) => `2b0601040183bf3001${arc}`;

const HOUR = 3_600_000;
/** When all of it happens, unless a test says otherwise. */
export const SIGNED_AT = Date.parse("2026-05-01T12:00:00Z");

export const newKey = (curve = "P-256") => generateKeyPairSync("ec", { namedCurve: curve });
export interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}
export const sha256 = (...parts: readonly Uint8Array[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
export const spkiOf = (key: KeyObject) => new Uint8Array(key.export({ format: "der", type: "spki" }));
export const pemOf = (label: string, der: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString("base64")
    .replace(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;
const sequence = (...parts: readonly Uint8Array[]) => writeElement(TAG.SEQUENCE, ...parts);
const text = (value: string) => writeElement(UTF8_STRING, Buffer.from(value));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

/** GeneralizedTime; a fraction keeps no trailing zeros (X.690 §11.7). */
function time(at: number): Uint8Array {
  const digits = new Date(at).toISOString().replace(/[-:T]/g, "");
  return writeElement(GENERALIZED_TIME, Buffer.from(digits.replace(/\.?0+Z$/, "Z")));
}

const YEAR_2050 = Date.UTC(2050);

/** An end of a certificate's validity (RFC 5280 §4.1.2.5): UTCTime in whole seconds before 2050, then GeneralizedTime. */
function validityTime(at: number): Uint8Array {
  if (at >= YEAR_2050) return time(at);
  const digits = new Date(at).toISOString().replace(/[-:T]/g, "");
  return writeElement(UTC_TIME, Buffer.from(`${digits.slice(2, 14)}Z`));
}

function name(commonName: string): Uint8Array {
  return sequence(writeElement(SET, sequence(writeOid(COMMON_NAME), text(commonName))));
}

export interface ExtensionSpec {
  readonly oid: string;
  readonly value: Uint8Array;
  readonly isCritical?: boolean;
}

export interface CertificateSpec {
  readonly subject: string;
  readonly issuer: string;
  readonly key: KeyObject;
  readonly signer: KeyObject;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly extensions: readonly ExtensionSpec[];
}

function tbsOf({
  subject,
  issuer,
  key,
  notBefore,
  notAfter,
  extensions,
}: CertificateSpec): Uint8Array<ArrayBuffer> {
  const algorithm = sequence(writeOid(ECDSA_SHA256));
  return sequence(
    writeElement(VERSION, writeInteger(Uint8Array.of(2))),
    writeInteger(sha256(spkiOf(key)).subarray(0, 8)),
    algorithm,
    name(issuer),
    sequence(validityTime(notBefore ?? SIGNED_AT - 1000), validityTime(notAfter ?? SIGNED_AT + 600_000)),
    name(subject),
    spkiOf(key),
    writeElement(EXTENSIONS, sequence(...extensions.map(extension))),
  );
}

function extension({ oid, value, isCritical = false }: ExtensionSpec): Uint8Array {
  const critical = isCritical ? [writeElement(BOOLEAN, Uint8Array.of(0xff))] : [];
  return sequence(writeOid(oid), ...critical, writeElement(TAG.OCTET_STRING, value));
}

export function certificate(spec: CertificateSpec): Uint8Array<ArrayBuffer> {
  const tbs = tbsOf(spec);
  const bits = writeElement(TAG.BIT_STRING, Uint8Array.of(0), sign("sha256", tbs, spec.signer));
  return sequence(tbs, sequence(writeOid(ECDSA_SHA256)), bits);
}

export const isCa = (pathLength?: number): ExtensionSpec => ({
  oid: "551d13",
  isCritical: true,
  value: sequence(
    writeElement(BOOLEAN, Uint8Array.of(0xff)),
    ...(pathLength === undefined ? [] : [writeInteger(Uint8Array.of(pathLength))]),
  ),
});
export const usage = (bits: number): ExtensionSpec => ({
  oid: "551d0f",
  isCritical: true,
  value: writeElement(TAG.BIT_STRING, Uint8Array.of(0, bits)),
});
export const purpose = (oid: string): ExtensionSpec => ({ oid: "551d25", value: sequence(writeOid(oid)) });
/** @param tag 0x81 an email, 0x82 a host, 0x86 a URI */
export const alternativeName = (value: string, tag = 0x81): ExtensionSpec => ({
  oid: "551d11",
  isCritical: true,
  value: sequence(writeElement(tag, Buffer.from(value, "latin1"))),
});
export const oidcIssuer = (value: string): ExtensionSpec => ({ oid: FULCIO("08"), value: text(value) });
export const oldOidcIssuer = (value: string): ExtensionSpec => ({
  oid: FULCIO("01"),
  value: Buffer.from(value),
});

interface TimestampForm {
  readonly digest?: "sha256" | "sha512";
  /** DER elements beside the authority's own, which no timestamp needs. */
  readonly certificates?: readonly Uint8Array[];
  readonly moreAttributes?: readonly Uint8Array[];
}

const DIGITAL_SIGNATURE = 0x80;
const CERTIFICATE_SIGN = 0x06;

export class Sigstore {
  readonly root = newKey("P-384");
  readonly intermediate = newKey("P-384");
  readonly ctLog = newKey();
  readonly rekor = newKey();
  readonly stampRoot = newKey();
  readonly stamper = newKey();
  readonly rootCertificate = this.#authority("root", "root", this.root.publicKey);
  readonly intermediateCertificate = this.#authority("intermediate", "root", this.intermediate.publicKey, 0);
  readonly stampRootCertificate = certificate({
    subject: "tsa root",
    issuer: "tsa root",
    key: this.stampRoot.publicKey,
    signer: this.stampRoot.privateKey,
    notAfter: SIGNED_AT + 1000 * HOUR,
    extensions: [isCa(), usage(CERTIFICATE_SIGN)],
  });
  readonly stamperCertificate = certificate({
    subject: "tsa",
    issuer: "tsa root",
    key: this.stamper.publicKey,
    signer: this.stampRoot.privateKey,
    notAfter: SIGNED_AT + 1000 * HOUR,
    extensions: [{ ...purpose(TIME_STAMPING), isCritical: true }, usage(DIGITAL_SIGNATURE)],
  });

  #authority(subject: string, issuer: string, key: KeyObject, pathLength?: number): Uint8Array<ArrayBuffer> {
    return certificate({
      subject,
      issuer,
      key,
      signer: this.root.privateKey,
      notBefore: SIGNED_AT - 1000 * HOUR,
      notAfter: SIGNED_AT + 1000 * HOUR,
      extensions: [isCa(pathLength), usage(CERTIFICATE_SIGN)],
    });
  }

  /** A leaf for dev@example.test, with a certificate timestamp, unless `change` says otherwise. */
  leaf(
    key: KeyObject,
    change: Partial<CertificateSpec> = {},
    timestamp: {
      readonly log?: Pair;
      readonly at?: number;
      /** Hash and signature as RFC 5246 §7.4.1.4.1 numbers them. */
      readonly algorithms?: readonly [number, number];
    } | null = {},
  ): Uint8Array<ArrayBuffer> {
    const spec: CertificateSpec = {
      subject: "",
      issuer: "intermediate",
      key,
      signer: this.intermediate.privateKey,
      extensions: LEAF_EXTENSIONS,
      ...change,
    };
    if (timestamp === null) return certificate(spec);
    const { log = this.ctLog, at = SIGNED_AT, algorithms = [4, 3] } = timestamp;
    const sct = { oid: SCT_LIST, value: this.#certificateTimestamps(tbsOf(spec), log, at, algorithms) };
    return certificate({ ...spec, extensions: [...spec.extensions, sct] });
  }

  #certificateTimestamps(
    tbs: Uint8Array,
    log: Pair,
    at: number,
    algorithms: readonly [number, number],
  ): Uint8Array {
    const head = Buffer.alloc(12);
    head.writeBigUInt64BE(BigInt(at), 2);
    head.writeUInt16BE(1, 10);
    const length = Uint8Array.of(tbs.length >> 16, (tbs.length >> 8) & 0xff, tbs.length & 0xff);
    const issuer = sha256(spkiOf(this.intermediate.publicKey));
    const signature = sign(
      "sha256",
      Buffer.concat([head, issuer, length, tbs, Buffer.alloc(2)]),
      log.privateKey,
    );
    const sct = Buffer.concat([
      Uint8Array.of(0),
      sha256(spkiOf(log.publicKey)),
      head.subarray(2, 10),
      Uint8Array.of(0, 0, ...algorithms, signature.length >> 8, signature.length & 0xff),
      signature,
    ]);
    const list = Buffer.concat([uint16(sct.length + 2), uint16(sct.length), sct]);
    return writeElement(TAG.OCTET_STRING, list);
  }

  /** Rekor's promise as cosign 2 keeps it: JSON. */
  signedEntry(body: object, change: { readonly log?: Pair; readonly at?: number } = {}): string {
    const { log = this.rekor, at = SIGNED_AT } = change;
    const payload = {
      body: base64(Buffer.from(JSON.stringify(body))),
      integratedTime: at / 1000,
      logID: sha256(spkiOf(log.publicKey)).toString("hex"),
      logIndex: 7,
    };
    const SignedEntryTimestamp = base64(sign("sha256", Buffer.from(JSON.stringify(payload)), log.privateKey));
    return JSON.stringify({ SignedEntryTimestamp, Payload: payload });
  }

  /** A bundle's log entry, with promise and proof: the log has this entry alone. */
  tlogEntry(
    body: { kind: string; apiVersion: string },
    change: { readonly log?: Pair; readonly at?: number } = {},
  ) {
    const { log = this.rekor } = change;
    const { SignedEntryTimestamp, Payload } = JSON.parse(this.signedEntry(body, change));
    const keyId = sha256(spkiOf(log.publicKey));
    const rootHash = sha256(Uint8Array.of(0), Buffer.from(Payload.body, "base64"));
    const note = `rekor.test - 1\n1\n${base64(rootHash)}\n`;
    const signature = Buffer.concat([
      keyId.subarray(0, 4),
      sign("sha256", Buffer.from(note), log.privateKey),
    ]);
    return {
      logIndex: "7",
      logId: { keyId: base64(keyId) },
      kindVersion: { kind: body.kind, version: body.apiVersion },
      integratedTime: String(Payload.integratedTime),
      inclusionPromise: { signedEntryTimestamp: SignedEntryTimestamp },
      inclusionProof: {
        logIndex: "0",
        rootHash: base64(rootHash),
        treeSize: "1",
        hashes: [],
        checkpoint: { envelope: `${note}\n— rekor.test ${base64(signature)}\n` },
      },
      canonicalizedBody: Payload.body,
    };
  }

  /** An RFC 3161 TimeStampResp for a signature. */
  timestamp(
    signature: Uint8Array,
    at = SIGNED_AT,
    by: Pair = this.stamper,
    { digest = "sha256", certificates, moreAttributes = [] }: TimestampForm = {},
  ): Uint8Array<ArrayBuffer> {
    const digestAlgorithm = sequence(writeOid(digest === "sha256" ? SHA256 : SHA512));
    const { issuer, serial } = issuerAndSerial(this.stamperCertificate);
    const sha256Algorithm = sequence(writeOid(SHA256));
    const info = sequence(
      writeInteger(Uint8Array.of(1)),
      writeOid("2a03"),
      sequence(sha256Algorithm, writeElement(TAG.OCTET_STRING, sha256(signature))),
      writeInteger(Uint8Array.of(5)),
      time(at),
    );
    const attribute = (oid: string, value: Uint8Array) => sequence(writeOid(oid), writeElement(SET, value));
    const attributes = [
      attribute(CONTENT_TYPE, writeOid(TST_INFO)),
      attribute(MESSAGE_DIGEST, writeElement(TAG.OCTET_STRING, createHash(digest).update(info).digest())),
      ...moreAttributes,
    ];
    const signerInfo = sequence(
      writeInteger(Uint8Array.of(1)),
      sequence(issuer, serial),
      digestAlgorithm,
      writeElement(TAG.CONTEXT_0, ...attributes),
      sequence(writeOid(ECDSA_SHA256)),
      writeElement(TAG.OCTET_STRING, sign("sha256", writeElement(SET, ...attributes), by.privateKey)),
    );
    const signedData = sequence(
      writeInteger(Uint8Array.of(3)),
      writeElement(SET, sha256Algorithm),
      sequence(writeOid(TST_INFO), writeElement(TAG.CONTEXT_0, writeElement(TAG.OCTET_STRING, info))),
      ...(certificates === undefined ? [] : [writeElement(TAG.CONTEXT_0, ...certificates)]),
      writeElement(SET, signerInfo),
    );
    return sequence(
      sequence(writeInteger(Uint8Array.of(0))),
      sequence(writeOid(SIGNED_DATA), writeElement(TAG.CONTEXT_0, signedData)),
    );
  }

  /** The bundle of a file's signature by dev@example.test, as cosign 3 writes it. */
  fileBundle(file: Uint8Array) {
    const { publicKey, privateKey } = newKey();
    const [leaf, signature] = [this.leaf(publicKey), sign("sha256", file, privateKey)];
    return {
      mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      verificationMaterial: {
        certificate: { rawBytes: base64(leaf) },
        tlogEntries: [this.tlogEntry(hashedrekord(file, signature, pemOf("CERTIFICATE", leaf)))],
        timestampVerificationData: {
          rfc3161Timestamps: [{ signedTimestamp: base64(this.timestamp(signature)) }],
        },
      },
      messageSignature: {
        messageDigest: { algorithm: "SHA2_256", digest: base64(sha256(file)) },
        signature: base64(signature),
      },
    };
  }

  /** trusted_root.json, as an object to change. */
  trustedRoot() {
    const validFor = { start: "2020-01-01T00:00:00Z" };
    const log = (pair: Pair, baseUrl: string) => ({
      baseUrl,
      hashAlgorithm: "SHA2_256",
      publicKey: {
        rawBytes: base64(spkiOf(pair.publicKey)),
        keyDetails: "PKIX_ECDSA_P256_SHA_256",
        validFor,
      },
      logId: { keyId: base64(sha256(spkiOf(pair.publicKey))) },
    });
    const chain = (...certificates: readonly Uint8Array[]) => ({
      certChain: { certificates: certificates.map((it) => ({ rawBytes: base64(it) })) },
      validFor,
    });
    return {
      mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
      tlogs: [log(this.rekor, "https://rekor.test")],
      certificateAuthorities: [chain(this.intermediateCertificate, this.rootCertificate)],
      ctlogs: [log(this.ctLog, "https://ct.test")],
      timestampAuthorities: [chain(this.stamperCertificate, this.stampRootCertificate)],
    };
  }
}

export const LEAF_EXTENSIONS: readonly ExtensionSpec[] = [
  usage(DIGITAL_SIGNATURE),
  purpose(CODE_SIGNING),
  alternativeName("dev@example.test"),
  oidcIssuer("https://issuer.example.test"),
  oldOidcIssuer("https://issuer.example.test"),
];

/** Rekor's hashedrekord 0.0.1. */
export function hashedrekord(message: Uint8Array, signature: Uint8Array, pem: string) {
  return {
    apiVersion: "0.0.1",
    kind: "hashedrekord",
    spec: {
      data: { hash: { algorithm: "sha256", value: sha256(message).toString("hex") } },
      signature: { content: base64(signature), publicKey: { content: base64(Buffer.from(pem)) } },
    },
  };
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

function issuerAndSerial(der: Uint8Array): { issuer: Uint8Array; serial: Uint8Array } {
  const { serialNumber } = new X509Certificate(der);
  return { issuer: name("tsa root"), serial: writeInteger(Buffer.from(serialNumber, "hex")) };
}
