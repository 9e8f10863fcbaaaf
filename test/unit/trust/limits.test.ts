import { expect, test } from "vitest";
import { TAG, writeElement } from "../../../src/encoding/der.ts";
import { readBundle } from "../../../src/trust/check/bundle.ts";
import { verifyChain } from "../../../src/trust/check/chain.ts";
import { plainEvidence, readCertificateFile } from "../../../src/trust/check/evidence.ts";
import { checkNames, readNames } from "../../../src/trust/check/identity.ts";
import { readPublicKeys } from "../../../src/trust/check/key.ts";
import { bytesMessage } from "../../../src/trust/check/message.ts";
import { ATOMIC_TYPE, readPayload } from "../../../src/trust/check/payload.ts";
import { verifySignedEntry } from "../../../src/trust/check/rekor.ts";
import { checkTimestamps } from "../../../src/trust/check/sct.ts";
import { IN_TOTO, readEnvelope, readStatement } from "../../../src/trust/check/statement.ts";
import { verifyTimestamp } from "../../../src/trust/check/timestamp.ts";
import { readTrustedRoot } from "../../../src/trust/check/trusted-root.ts";
import { parseCertificate } from "../../../src/trust/check/x509.ts";
import { readSums } from "../../../src/trust/file/sums.ts";
import { readContainersPolicy } from "../../../src/trust/policy/containers-policy.ts";
import { wholeMatch } from "../../../src/trust/policy/regexp.ts";
import { rsaPair } from "../../support/rsa.ts";
import {
  type CertificateSpec,
  CODE_SIGNING,
  certificate,
  isCa,
  newKey,
  type Pair,
  pemOf,
  purpose,
  SCT_LIST,
  SIGNED_AT,
  Sigstore,
  spkiOf,
} from "../../support/sigstore.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const HEX = "ab".repeat(32);
const KEY = newKey();
const STORE = new Sigstore();
const SEQUENCE_OF_NOTHING = writeElement(TAG.SEQUENCE);
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const times = <T>(count: number, item: T): T[] => Array<T>(count).fill(item);

/** The last of the subjects is the one that is looked for. */
function statement(subjects: number): void {
  const others = times(subjects - 1, { name: "other" });
  const payload = json({
    _type: "https://in-toto.io/Statement/v1",
    subject: [...others, { digest: { sha256: HEX } }],
    predicateType: "https://spdx.dev/Document",
  });
  readStatement({ payloadType: IN_TOTO, payload }, HEX);
}

const ENTRY = {
  logIndex: "1",
  logId: { keyId: "AA==" },
  kindVersion: { kind: "dsse", version: "0.0.1" },
  integratedTime: "1",
  inclusionProof: {
    logIndex: "0",
    rootHash: "AA==",
    treeSize: "1",
    hashes: [],
    checkpoint: { envelope: "note" },
  },
  canonicalizedBody: "AA==",
};

function bundle(tlogEntries: number, rfc3161Timestamps: number): void {
  const verificationMaterial = {
    publicKey: { hint: "" },
    tlogEntries: times(tlogEntries, ENTRY),
    timestampVerificationData: { rfc3161Timestamps: times(rfc3161Timestamps, { signedTimestamp: "AA==" }) },
  };
  const dsseEnvelope = { payload: "AA==", payloadType: IN_TOTO, signatures: [{ sig: "AA==" }] };
  readBundle(
    json({ mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", verificationMaterial, dsseEnvelope }),
  );
}

function chainInBundle(certificates: number): void {
  const rawBytes = base64(STORE.rootCertificate);
  const verificationMaterial = {
    x509CertificateChain: { certificates: times(certificates, { rawBytes }) },
    tlogEntries: [{ ...ENTRY, inclusionPromise: { signedEntryTimestamp: "AA==" } }],
  };
  const dsseEnvelope = { payload: "AA==", payloadType: IN_TOTO, signatures: [{ sig: "AA==" }] };
  readBundle(
    json({
      mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.2",
      verificationMaterial,
      dsseEnvelope,
    }),
  );
}

function trustedRoot(change: object): void {
  const mediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
  readTrustedRoot({ name: "root", bytes: json({ mediaType, ...change }) });
}

function trustedLogs(tlogs: number): void {
  const publicKey = { rawBytes: base64(spkiOf(KEY.publicKey)), validFor: { start: "2026-01-01T00:00:00Z" } };
  trustedRoot({ tlogs: times(tlogs, { publicKey, logId: { keyId: "AA==" } }) });
}

function authority(count: number): void {
  const certificates = times(count, { rawBytes: base64(STORE.rootCertificate) });
  trustedRoot({ certificateAuthorities: [{ certChain: { certificates } }] });
}

/** The signature has the same length at each call, unlike one of an elliptic curve. */
const RSA: Pair = rsaPair(2048);

function certificateWith(change: Partial<CertificateSpec>): Uint8Array<ArrayBuffer> {
  const names = { subject: "a", issuer: "a" };
  return certificate({ ...names, key: KEY.publicKey, signer: RSA.privateKey, extensions: [], ...change });
}

/** Only the last extension makes up the length. */
function certificateBytes(count: number): void {
  const padded = (bytes: number) =>
    certificateWith({ extensions: [{ oid: "2a03", value: new Uint8Array(bytes) }] });
  const der = padded(60_000 + count - padded(60_000).length);
  expect(der).toHaveLength(count);
  parseCertificate(der);
}

function extensions(count: number): void {
  const value = SEQUENCE_OF_NOTHING;
  const all = Array.from({ length: count }, (_, i) => ({
    oid: `2a03${i.toString(16).padStart(2, "0")}`,
    value,
  }));
  parseCertificate(certificateWith({ extensions: all }));
}

function alternativeNames(count: number): void {
  const value = writeElement(TAG.SEQUENCE, ...times(count, writeElement(0x82, Buffer.from("a.test"))));
  readNames(parseCertificate(certificateWith({ extensions: [{ oid: "551d11", value }] })));
}

/** None of them is by a known log. */
function certificateTimestamps(count: number): void {
  const timestamp = Buffer.alloc(1 + 32 + 8 + 2 + 4);
  const length = Buffer.of(0, timestamp.length);
  const list = Buffer.concat(times(count, [length, timestamp]).flat());
  const head = Buffer.of(list.length >> 8, list.length & 0xff);
  const value = writeElement(TAG.OCTET_STRING, head, list);
  const leaf = parseCertificate(certificateWith({ extensions: [{ oid: SCT_LIST, value }] }));
  checkTimestamps(leaf, leaf, []);
}

const VALID = { notBefore: SIGNED_AT - 1000, notAfter: SIGNED_AT + 1000 };
const LEAF = parseCertificate(
  certificateWith({ ...VALID, issuer: "0", signer: KEY.privateKey, extensions: [purpose(CODE_SIGNING)] }),
);

function issuer(subject: number, signedBy: number, key = KEY) {
  const spec = { ...VALID, subject: String(subject), issuer: String(signedBy), signer: KEY.privateKey };
  return parseCertificate(certificateWith({ ...spec, key: key.publicKey, extensions: [isCa()] }));
}

/** @param length the signer's certificate, its issuer "0" and so on, and the root */
function chain(length: number): void {
  const issuers = Array.from({ length: length - 1 }, (_, i) => issuer(i, i + 1));
  const roots = issuers.splice(-1);
  verifyChain(LEAF, { purpose: CODE_SIGNING, intermediates: issuers, roots, time: SIGNED_AT });
}

/** All have the name of the leaf's issuer, and none has its key. */
function issuers(count: number): void {
  const intermediates = times(count, issuer(0, 1, newKey()));
  verifyChain(LEAF, { purpose: CODE_SIGNING, intermediates, roots: [], time: SIGNED_AT });
}

const certificates = (count: number) => pemOf("CERTIFICATE", STORE.rootCertificate).repeat(count);

function chainBeside(count: number): void {
  plainEvidence(bytesMessage(Buffer.of()), Buffer.of(), { chain: certificates(count) });
}

const NOTHING = Buffer.of();

/** None of its bytes is JSON, which is found later. */
const logEntry = (count: number) =>
  verifySignedEntry(new Uint8Array(count), [], {
    signed: bytesMessage(NOTHING),
    payload: undefined,
    signature: NOTHING,
    verifier: NOTHING,
  });

/** It is of another signature, which is found once it has been read. */
const stamp = (...form: Parameters<Sigstore["timestamp"]>) =>
  void verifyTimestamp(STORE.timestamp(...form), Buffer.of(2), []);

function stampBytes(count: number): void {
  const form = (bytes: number) => ({ certificates: [writeElement(TAG.OCTET_STRING, new Uint8Array(bytes))] });
  const padded = (bytes: number) => STORE.timestamp(NOTHING, SIGNED_AT, RSA, form(bytes));
  const der = padded(60_000 + count - padded(60_000).length);
  expect(der).toHaveLength(count);
  verifyTimestamp(der, Buffer.of(2), []);
}

const stampCertificates = (count: number) =>
  stamp(NOTHING, SIGNED_AT, KEY, { certificates: times(count, SEQUENCE_OF_NOTHING) });

/** Two of them are those that every timestamp has. */
const stampAttributes = (count: number) =>
  stamp(NOTHING, SIGNED_AT, KEY, { moreAttributes: times(count - 2, SEQUENCE_OF_NOTHING) });

function identity(chars: number): void {
  const regexp = { kind: "regexp", regexp: wholeMatch("a*", "x") } as const;
  const names = {
    subjects: [{ kind: "email" as const, text: "a".repeat(chars) }],
    issuer: undefined,
    workflow: new Map(),
  };
  checkNames(names, { subjects: [{ name: "any", is: regexp }] });
}

function policy(scopes: number): void {
  const rules = [{ type: "reject" }];
  const docker = Object.fromEntries(Array.from({ length: scopes }, (_, i) => [`registry.test/${i}`, rules]));
  const value = { default: rules, transports: { docker } };
  readContainersPolicy(value, "policy", { scopeIsIdentity: false });
}

/** The number of lines is looked at before any line is. */
const sums = (lines: number) => void readSums(Buffer.from("\n".repeat(lines)), "sha256", "SUMS");

const LIMITS: readonly (readonly [
  what: string,
  most: number,
  refused: RegExp,
  use: (count: number) => unknown,
])[] = [
  ["subjects of a statement", 1024, /subject is malformed/, statement],
  ["entries of a bundle's log", 16, /too many log entries/, (count) => bundle(count, 1)],
  ["timestamps of a bundle", 16, /too many log entries or timestamps/, (count) => bundle(1, count)],
  ["bytes of a bundle", 16 * MiB, /is too long/, (count) => readBundle(new Uint8Array(count))],
  ["bytes of an envelope", 16 * MiB, /is too long/, (count) => readEnvelope(new Uint8Array(count))],
  [
    "bytes of a statement",
    16 * MiB,
    /is too long/,
    (count) => readStatement({ payloadType: IN_TOTO, payload: new Uint8Array(count) }, HEX),
  ],
  ["bytes of a log entry", MiB, /is too long/, logEntry],
  ["bytes of a payload", MiB, /is too long/, (count) => readPayload(new Uint8Array(count), ATOMIC_TYPE)],
  ["logs of a trusted root", 64, /tlogs are malformed/, trustedLogs],
  ["certificates of a trusted root's authority", 64, /certificateAuthorities are malformed/, authority],
  [
    "certificates of a policy's file",
    64,
    /chain is too long/,
    (count) => readCertificateFile({ name: "roots", bytes: Buffer.from(certificates(count)) }),
  ],
  ["certificates of a bundle", 4, /chain is too long/, chainInBundle],
  ["certificates beside a signature", 4, /chain is too long/, chainBeside],
  ["certificates from a signer's to a root", 4, /does not lead to a trusted root/, chain],
  ["issuers that are tried", 16, /more than 16 possible issuers/, issuers],
  ["bytes of a certificate", 64 * KiB, /malformed certificate/, certificateBytes],
  ["extensions of a certificate", 64, /malformed certificate/, extensions],
  ["names of a certificate", 64, /alternative name is malformed/, alternativeNames],
  ["timestamps of a certificate", 16, /\(SCT\) are malformed/, certificateTimestamps],
  ["bytes of a signature's timestamp", 64 * KiB, /timestamp is malformed/, stampBytes],
  ["certificates of a timestamp", 64, /timestamp is malformed/, stampCertificates],
  ["attributes of a timestamp", 64, /timestamp is malformed/, stampAttributes],
  [
    "keys of a file",
    64,
    /more than 64 keys/,
    (count) =>
      readPublicKeys({
        name: "keys",
        bytes: Buffer.from(pemOf("PUBLIC KEY", spkiOf(KEY.publicKey)).repeat(count)),
      }),
  ],
  ["characters that an expression is matched with", 1024, /./, identity],
  ["scopes of a policy", 16_384, /more than 16384 scopes/, policy],
  ["checksums of a file", 65_536, /more than 65536 lines/, sums],
];

test.each(LIMITS)("%s: %i and no more", async (_what, most, refused, use) => {
  const problem = async (count: number) => {
    try {
      await use(count);
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
  };
  expect(await problem(most)).not.toMatch(refused);
  expect(await problem(most + 1)).toMatch(refused);
});
