import { X509Certificate } from "node:crypto";
import { parseJsonObject } from "../../src/encoding/json.ts";
import { DecoderError } from "../../src/errors.ts";
import { Authorizer } from "../../src/registry/authorizer.ts";
import { secretOf } from "../../src/registry/credential-files.ts";
import type { HttpResponse } from "../../src/registry/http.ts";
import { TokenServer } from "../../src/registry/tokens.ts";
import { verifyChain } from "../../src/trust/check/chain.ts";
import { readCertificateFile } from "../../src/trust/check/evidence.ts";
import { verifyGpgMessage } from "../../src/trust/check/gpg.ts";
import { readNames } from "../../src/trust/check/identity.ts";
import { checkLogged, type Logged } from "../../src/trust/check/logged.ts";
import { bytesMessage } from "../../src/trust/check/message.ts";
import { COSIGN_TYPE, readPayload } from "../../src/trust/check/payload.ts";
import { verifySignedEntry } from "../../src/trust/check/rekor.ts";
import { checkTimestamps } from "../../src/trust/check/sct.ts";
import { checkSignature } from "../../src/trust/check/signature.ts";
import { preAuthentication, readEnvelope, readStatement } from "../../src/trust/check/statement.ts";
import { verifyTimestamp } from "../../src/trust/check/timestamp.ts";
import { keysOf } from "../../src/trust/check/trust-files.ts";
import { readTrustedRoot } from "../../src/trust/check/trusted-root.ts";
import { OID, parseCertificate } from "../../src/trust/check/x509.ts";
import { readSums } from "../../src/trust/file/sums.ts";
import type { ArtifactStore } from "../../src/trust/find/artifact-store.ts";
import { parseArtifactIndex } from "../../src/trust/find/attachments.ts";
import { findReferrers } from "../../src/trust/find/referrers.ts";
import { findByTag } from "../../src/trust/find/tag-signatures.ts";
import type { FoundSignature, SignatureVerdict } from "../../src/trust/found.ts";
import { parseImageName } from "../../src/trust/policy/image-name.ts";
import { parsePolicy } from "../../src/trust/policy/read-policy.ts";
import type { SignedBy } from "../../src/trust/requirement.ts";
import { leavesOf } from "../../src/trust/requirement-tree.ts";
import { SIGNED_AT } from "../support/sigstore.ts";
import { demand, keyless } from "../unit/trust/check/demand.ts";
import { seed } from "./corpus.ts";
import type { Target } from "./targets.ts";

const HEX = "ab".repeat(32);
const IMAGE = { digest: `sha256:${HEX}`, name: parseImageName("registry.example.test/app:1") };
const trustedRoot = () => JSON.parse(seed("trusted-root/root").toString());
const root = () => readTrustedRoot({ name: "root", bytes: seed("trusted-root/root") });

/** Entrances for bytes that come with an image or a file from somebody who wants to be trusted. */
export const SIGNATURE_TARGETS: readonly (readonly [string, Target])[] = [
  [
    "signature-payload",
    {
      structure: "json",
      corpus: ["signature-payload"],
      prepare: () => (json) => readPayload(json, COSIGN_TYPE),
    },
  ],
  [
    "signature-statement",
    {
      structure: "json",
      corpus: ["signature-statement"],
      prepare: () => (payload) =>
        readStatement({ payloadType: "application/vnd.in-toto+json", payload }, HEX),
    },
  ],
  ["signature-envelope", { structure: "json", corpus: ["signature-envelope"], prepare: () => readEnvelope }],
  [
    "signature-bundle",
    {
      structure: "json",
      corpus: ["signature-bundle"],
      prepare: () => judging((bundle) => ({ form: "bundle", where: "it", bundle })),
    },
  ],
  ["signature-simple", { structure: "json", corpus: ["signature-simple"], prepare: () => judging(simple) }],
  [
    "signature-certificate",
    { structure: "der", corpus: ["signature-certificate"], prepare: readingCertificates },
  ],
  ["signature-timestamp", { structure: "der", corpus: ["signature-timestamp"], prepare: stamping }],
  ["signature-entry", { structure: "json", corpus: ["signature-entry"], prepare: logging }],
  ["signature-log", { structure: "json", corpus: ["signature-log"], prepare: comparingEntries }],
  [
    "trusted-root",
    {
      structure: "json",
      corpus: ["trusted-root"],
      prepare: () => (bytes) => readTrustedRoot({ name: "root", bytes }),
    },
  ],
  ["trust-policy", { structure: "json", corpus: ["trust-policy"], prepare: () => readPolicy }],
  ["trust-policy-yaml", { structure: "text", corpus: ["trust-policy-yaml"], prepare: () => readPolicy }],
  ["signature-artifact", { structure: "json", corpus: ["signature-artifact"], prepare: findingArtifacts }],
  ["signature-gpg", { structure: "bytes", corpus: ["signature-gpg"], prepare: readingGpg }],
  ["challenge", { structure: "text", corpus: ["challenge"], prepare: () => answerChallenge }],
  [
    "sums",
    { structure: "text", corpus: ["sums"], prepare: () => (bytes) => readSums(bytes, "sha256", "it") },
  ],
];

/** What the entries of the corpus are about: a payload of simple signing. */
function loggedPayload(): Logged {
  const { payload, signature, certificate } = JSON.parse(seed("signature-simple/keyless").toString());
  return {
    signed: bytesMessage(Buffer.from(payload, "base64")),
    payload: undefined,
    signature: Buffer.from(signature, "base64"),
    verifier: new X509Certificate(certificate).raw,
  };
}

/** The same for an envelope in a bundle. */
function loggedEnvelope(): Logged {
  const { verificationMaterial, dsseEnvelope } = JSON.parse(seed("signature-bundle/keyless").toString());
  const { payloadType, payload, signatures } = dsseEnvelope;
  const bytes = Buffer.from(payload, "base64");
  return {
    signed: bytesMessage(preAuthentication({ payloadType, payload: bytes })),
    payload: bytesMessage(bytes),
    signature: Buffer.from(signatures[0].sig, "base64"),
    verifier: Buffer.from(verificationMaterial.certificate.rawBytes, "base64"),
  };
}

/** Judges a signature by key and by certificate. It must not throw. */
function judging(found: (bytes: Uint8Array) => FoundSignature): (bytes: Uint8Array) => Promise<void> {
  const byKey = demand({
    signer: { kind: "keys", keys: [{ name: "key", bytes: seed("signature-key/key.pub") }] },
  });
  const leaves: SignedBy[] = [byKey, keyless(trustedRoot())];
  return async (bytes) => {
    const signature = found(bytes);
    const verdicts: SignatureVerdict[] = [];
    for (const leaf of leaves) verdicts.push(await checkSignature(signature, leaf, IMAGE));
    refuseAll(verdicts);
  };
}

/** For the campaign's statistics: a refusal is an outcome of its own. */
function refuseAll(verdicts: readonly SignatureVerdict[]): void {
  if (!verdicts.some(({ counts }) => counts)) throw new DecoderError("UNTRUSTED", "none counts");
}

function simple(bytes: Uint8Array): FoundSignature {
  const value = parseJsonObject(bytes) ?? {};
  const texts = Object.fromEntries(Object.entries(value).filter(([, it]) => typeof it === "string"));
  const { payload = "", signature = "", ...material } = texts as Record<string, string>;
  return { form: "simple", where: "it", ...material, payload: Buffer.from(payload, "base64"), signature };
}

function readingCertificates(): (bytes: Uint8Array) => void {
  const { authorities, certificateLogs } = root();
  const [intermediate, anchor] = authorities[0]?.certificates ?? [];
  if (intermediate === undefined || anchor === undefined) throw new Error("bug: the corpus has no authority");
  return (bytes) => {
    const certificate = parseCertificate(bytes);
    readNames(certificate);
    const demanded = { intermediates: [intermediate], roots: [anchor], time: SIGNED_AT };
    verifyChain(certificate, { ...demanded, purpose: OID.codeSigning });
    checkTimestamps(certificate, intermediate, certificateLogs);
  };
}

function stamping(): (bytes: Uint8Array) => unknown {
  const { timestampAuthorities } = root();
  const { signature } = JSON.parse(seed("signature-simple/key").toString());
  return (bytes) => verifyTimestamp(bytes, Buffer.from(signature, "base64"), timestampAuthorities);
}

function logging(): (bytes: Uint8Array) => unknown {
  const { logs } = root();
  const logged = loggedPayload();
  return (bytes) => verifySignedEntry(bytes, logs, logged);
}

function comparingEntries(): (bytes: Uint8Array) => Promise<void> {
  const [payload, envelope] = [loggedPayload(), loggedEnvelope()];
  return async (body) => {
    const results = await Promise.allSettled([payload, envelope].map((it) => checkLogged(body, it)));
    const [first] = results;
    if (first?.status === "rejected" && results.every(({ status }) => status === "rejected"))
      throw first.reason;
  };
}

/** A repository in which every manifest and index has the same bytes. */
function findingArtifacts(): (bytes: Uint8Array) => Promise<void> {
  const blob = seed("signature-bundle/key");
  return async (bytes) => {
    const store: ArtifactStore = {
      manifest: async (digest) => ({
        bytes,
        digest,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
      }),
      blob: async () => blob,
      referrers: async () => parseArtifactIndex(bytes, "the index"),
    };
    const kinds = await Promise.all([
      findByTag(store, IMAGE.digest, "sig"),
      findByTag(store, IMAGE.digest, "att"),
      findReferrers(store, IMAGE.digest, ["sig", "att"]),
    ]);
    const found = kinds.flatMap((it) => it.found);
    if (found.every(({ form }) => form === "unreadable"))
      throw new DecoderError("BAD_IMAGE", "nothing found");
  };
}

function readingGpg(): (bytes: Uint8Array) => Promise<unknown> {
  const keyring = { name: "ring", bytes: seed("signature-key/gpg.pub") };
  return (message) => verifyGpgMessage(message, [keyring]);
}

/** A registry may ask in any words. The password must not reach a realm that the check refuses. */
async function answerChallenge(bytes: Uint8Array): Promise<void> {
  const header = Buffer.from(bytes).toString("latin1");
  const credential = { username: "ann", password: secretOf("s3cret"), origin: "the test" };
  let mayKnow = true;
  const tokens = new TokenServer(
    async ({ headers }) => {
      if (!mayKnow && headers["Authorization"] !== undefined) throw new Error("the password was sent");
      return response("Content-Type", JSON.stringify({ token: "t" }));
    },
    (realm) => {
      mayKnow = realm.origin === API.origin;
      if (!mayKnow) throw new DecoderError("UNAUTHORIZED", "another origin");
    },
  );
  const find = async () => ({ credential, lookedIn: [], unreadable: [] });
  const authorizer = new Authorizer({ api: API, target: "app" }, find, tokens);
  await authorizer.learn(response("www-authenticate", "", header), ["repository:app:pull"]);
  await authorizer.header(["repository:app:pull"]);
}

const API = new URL("https://registry.example.test/v2/");

function response(name: string, body: string, value = ""): HttpResponse {
  return {
    status: 200,
    url: API,
    header: (it) => (it === name ? value : undefined),
    body: (async function* () {})(),
    read: async () => Buffer.from(body),
    discard: async () => {},
  };
}

async function readPolicy(bytes: Uint8Array): Promise<void> {
  const policy = await parsePolicy(bytes, "it", {
    trustedRoot: undefined,
    unmatched: "reject",
    scopeIsIdentity: false,
  });
  const { name } = IMAGE;
  if (name === undefined) throw new Error("bug: the image's name is malformed");
  const { requirement } = policy.requirementFor({ transport: "docker", name });
  for (const { signer, log } of leavesOf(requirement)) {
    log.keys.map(keysOf);
    if (signer.kind === "keys") signer.keys.map(keysOf);
    if (signer.kind === "pinned-certificate") signer.certificates.map(readCertificateFile);
    if (signer.kind === "certificate" && signer.authority.kind !== "trusted-root")
      readCertificateFile(signer.authority.roots);
  }
}
