import { expect, test } from "vitest";
import { readBundle } from "../../../src/trust/check/bundle.ts";
import { checkNames } from "../../../src/trust/check/identity.ts";
import { readPublicKeys } from "../../../src/trust/check/key.ts";
import { ATOMIC_TYPE, readPayload } from "../../../src/trust/check/payload.ts";
import { IN_TOTO, readEnvelope, readStatement } from "../../../src/trust/check/statement.ts";
import { readTrustedRoot } from "../../../src/trust/check/trusted-root.ts";
import { readSums } from "../../../src/trust/file/sums.ts";
import { readContainersPolicy } from "../../../src/trust/policy/containers-policy.ts";
import { wholeMatch } from "../../../src/trust/policy/regexp.ts";
import { newKey, pemOf, spkiOf } from "../../support/sigstore.ts";

const MiB = 1_048_576;
const HEX = "ab".repeat(32);
const KEY = newKey();
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

function trustedRoot(tlogs: number): void {
  const publicKey = { rawBytes: base64(spkiOf(KEY.publicKey)), validFor: { start: "2026-01-01T00:00:00Z" } };
  const log = { publicKey, logId: { keyId: "AA==" } };
  const mediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
  readTrustedRoot({ name: "root", bytes: json({ mediaType, tlogs: times(tlogs, log) }) });
}

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
  use: (count: number) => void,
])[] = [
  ["subjects of a statement", 1024, /subject is malformed/, statement],
  ["entries of a bundle's log", 16, /too many log entries/, (count) => bundle(count, 1)],
  ["timestamps of a bundle", 16, /too many log entries or timestamps/, (count) => bundle(1, count)],
  ["bytes of a bundle", 16 * MiB, /is too long/, (count) => readBundle(new Uint8Array(count))],
  ["bytes of an envelope", 16 * MiB, /is too long/, (count) => readEnvelope(new Uint8Array(count))],
  ["bytes of a payload", MiB, /is too long/, (count) => readPayload(new Uint8Array(count), ATOMIC_TYPE)],
  ["logs of a trusted root", 64, /tlogs are malformed/, trustedRoot],
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

test.each(LIMITS)("%s: %i and no more", (_what, most, refused, use) => {
  const problem = (count: number) => {
    try {
      use(count);
      return "";
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
  };
  expect(problem(most)).not.toMatch(refused);
  expect(problem(most + 1)).toMatch(refused);
});
