import {
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseLayerOptions, parsePublicOptions } from "../../src/cipher/options.ts";
import { parseAny, parsePayload } from "../../src/containerd/payload.ts";
import { leasedDigests } from "../../src/containerd/store/leases.ts";
import { encodeBase64 } from "../../src/encoding/base64.ts";
import { Expander } from "../../src/io/decompress.ts";
import { readCertificate } from "../../src/keys/certificate.ts";
import { KeyCollector } from "../../src/keys/collector.ts";
import type { KeySet } from "../../src/keys/keyset.ts";
import { parseKeyFile } from "../../src/keys/token/key-file.ts";
import { loadPolicies } from "../../src/keys/token/module-policy.ts";
import { parsePkcs11Uri } from "../../src/keys/token/uri.ts";
import { parseJwe } from "../../src/keywrap/jwe/message.ts";
import { contentAlgorithm, describeRecipient, wrappedCek } from "../../src/keywrap/jwe/recipient.ts";
import { unwrap as unwrapJwe } from "../../src/keywrap/jwe/unwrap.ts";
import { parseMessage as parsePgp } from "../../src/keywrap/pgp/message.ts";
import { unwrap as unwrapPgp } from "../../src/keywrap/pgp/unwrap.ts";
import { readContent } from "../../src/keywrap/pkcs7/content.ts";
import { readEnvelope } from "../../src/keywrap/pkcs7/envelope.ts";
import { unwrap as unwrapCms } from "../../src/keywrap/pkcs7/unwrap.ts";
import { parseMessage as parsePkcs11 } from "../../src/keywrap/pkcs11/message.ts";
import { findProvider } from "../../src/keywrap/provider/configuration.ts";
import { readAnswer, UNWRAP } from "../../src/keywrap/provider/protocol.ts";
import type { UnwrapContext } from "../../src/keywrap/scheme.ts";
import { packetsOf } from "../../src/keywrap/unwrap.ts";
import { PUBLIC_OPTIONS } from "../../src/spec/annotations.ts";
import { readDiffIds } from "../../src/transport/docker-archive.ts";
import { parseIndex, parseManifest } from "../../src/transport/documents.ts";
import { checkLayoutVersion } from "../../src/transport/layout-index.ts";
import { parseSource } from "../../src/transport/reference.ts";
import { any } from "../support/payload.ts";
import { seed, seedsOf } from "./corpus.ts";
import type { Structure } from "./mutate.ts";
import { SIGNATURE_TARGETS } from "./signature-targets.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** One entrance for bytes that somebody else made. */
export interface Target {
  readonly structure: Structure;
  /** Folders of the corpus. */
  readonly corpus: readonly string[];
  /** Makes what all runs share, and returns the run; it may throw DecoderErrors and nothing else. */
  readonly prepare: (folder: string) => Promise<(bytes: Bytes) => unknown> | ((bytes: Bytes) => unknown);
}

const PAYLOAD_TYPE = "io.containerd.ocicrypt.v1.Payload";

export const TARGETS: ReadonlyMap<string, Target> = new Map<string, Target>([
  ["any", { structure: "bytes", corpus: ["any"], prepare: () => parseAny }],
  [
    "payload",
    {
      structure: "json",
      corpus: ["payload"],
      prepare: () => (json) => parsePayload(own(any(PAYLOAD_TYPE, json))),
    },
  ],
  ["options", { structure: "json", corpus: ["options"], prepare: () => readOptions }],
  [
    "packets",
    {
      structure: "text",
      corpus: ["pkcs11-uri", "jwe"],
      prepare: () => (bytes) => packetsOf("jwe", Buffer.from(bytes).toString("latin1")),
    },
  ],
  ["jwe", { structure: "json", corpus: ["jwe"], prepare: () => inspectJwe }],
  ["jwe-open", { structure: "json", corpus: ["jwe"], prepare: () => opening(unwrapJwe, "keys/p256.pem") }],
  [
    "cms",
    { structure: "der", corpus: ["cms"], prepare: () => (bytes) => readContent(readEnvelope(bytes).content) },
  ],
  [
    "cms-open",
    {
      structure: "der",
      corpus: ["cms"],
      prepare: () => opening(unwrapCms, "keys/rsa-pkcs1.pem", "keys/certificate.pem"),
    },
  ],
  ["certificate", { structure: "der", corpus: ["der"], prepare: () => readCertificate }],
  ["pgp", { structure: "openpgp", corpus: ["pgp"], prepare: () => parsePgp }],
  ["pgp-open", { structure: "openpgp", corpus: ["pgp"], prepare: () => opening(unwrapPgp, "keyring/ecc") }],
  ["keyring", { structure: "openpgp", corpus: ["keyring"], prepare: openWithKeyring }],
  ["keys", { structure: "text", corpus: ["keys"], prepare: () => collect }],
  ["der", { structure: "der", corpus: ["der"], prepare: () => collect }],
  ["jwk", { structure: "json", corpus: ["jwk"], prepare: () => collect }],
  ["pkcs11-message", { structure: "json", corpus: ["pkcs11-message"], prepare: () => parsePkcs11 }],
  [
    "pkcs11-uri",
    {
      structure: "text",
      corpus: ["pkcs11-uri"],
      prepare: () => (bytes) => parsePkcs11Uri(Buffer.from(bytes).toString()),
    },
  ],
  ["pkcs11-yaml", { structure: "text", corpus: ["pkcs11-yaml"], prepare: () => parseKeyFile }],
  [
    "policy",
    {
      structure: "text",
      corpus: ["policy"],
      prepare: () => (bytes) =>
        loadPolicies({ OCICRYPT_CONFIG: "internal" }, new Map([["pkcs11-config", [bytes]]])),
    },
  ],
  [
    "provider-answer",
    {
      structure: "json",
      corpus: ["provider-answer"],
      prepare: () => (bytes) => readAnswer("p", UNWRAP, bytes),
    },
  ],
  ["provider-config", { structure: "json", corpus: ["provider-config"], prepare: configuredProvider }],
  ["document", { structure: "json", corpus: ["document"], prepare: () => readDocuments }],
  ["archive", { structure: "tar", corpus: ["archive"], prepare: openArchives }],
  ["bolt", { structure: "bytes", corpus: ["bolt"], prepare: readLeases }],
  ["expander", { structure: "bytes", corpus: ["compressed"], prepare: () => expand }],
  ...SIGNATURE_TARGETS,
]);

function own(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}

function readOptions(bytes: Bytes): void {
  const publicOptions = parsePublicOptions({ [PUBLIC_OPTIONS]: encodeBase64(seed("options/public")) });
  each(
    () => parsePublicOptions({ [PUBLIC_OPTIONS]: encodeBase64(bytes) }),
    () => parseLayerOptions(publicOptions, bytes),
  );
}

/** All of them, though one throws; the last error counts. */
function each(...runs: readonly (() => unknown)[]): void {
  let failure: unknown;
  for (const run of runs) {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "DecoderError") throw error;
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
}

function inspectJwe(bytes: Bytes): void {
  const jwe = parseJwe(bytes);
  const content = contentAlgorithm(jwe);
  for (const recipient of jwe.recipients) {
    describeRecipient(recipient);
    wrappedCek(recipient, content);
  }
}

async function collect(bytes: Bytes): Promise<void> {
  await new KeyCollector(false).add(bytes, "key", []);
}

const SETTINGS: UnwrapContext["settings"] = {
  environment: {},
  providerTimeoutMs: 1000,
  providerLegacyDc: false,
  verbose: false,
};

function contextFor(keys: KeySet): UnwrapContext {
  return { keys, settings: SETTINGS, name: "", record: () => {}, spend: () => {} };
}

async function opening(
  unwrap: (packet: Bytes, context: UnwrapContext) => Promise<unknown>,
  ...keys: readonly string[]
): Promise<(bytes: Bytes) => unknown> {
  const collector = new KeyCollector(true);
  for (const key of keys) await collector.add(own(seed(key)), key, []);
  const context = contextFor(collector.finish(new Map()));
  return (bytes) => unwrap(bytes, context);
}

function openWithKeyring(): (bytes: Bytes) => unknown {
  const message = own(seed("pgp/two-recipients"));
  return async (bytes) => {
    const collector = new KeyCollector(false);
    await collector.add(bytes, "ring", []);
    await unwrapPgp(message, contextFor(collector.finish(new Map())));
  };
}

function configuredProvider(folder: string): (bytes: Bytes) => unknown {
  const path = join(folder, "providers.json");
  return (bytes) => {
    writeFileSync(path, bytes);
    const environment = { OCICRYPT_KEYPROVIDER_CONFIG: path };
    each(...["p", "q", "__proto__"].map((name) => () => findProvider(name, environment)));
  };
}

function readDocuments(bytes: Bytes): void {
  each(
    () => parseManifest(bytes, "it"),
    () => parseIndex(bytes, "it"),
    () => readDiffIds(bytes, "it"),
    () => checkLayoutVersion(bytes, "it"),
  );
}

function openArchives(folder: string): (bytes: Bytes) => unknown {
  const path = join(folder, "archive.tar");
  return async (bytes) => {
    writeFileSync(path, bytes);
    const kind = Buffer.from(bytes.buffer).includes("manifest.json") ? "docker-archive" : "oci-archive";
    const image = await parseSource(`${kind}:${path}`).open();
    await image.locate(image.root);
    await image.close();
  };
}

function readLeases(folder: string): (bytes: Bytes) => unknown {
  const store = join(folder, "io.containerd.content.v1.content");
  const metadata = join(folder, "io.containerd.metadata.v1.bolt");
  mkdirSync(metadata, { recursive: true });
  const fd = openSync(join(metadata, "meta.db"), "w");
  return (bytes) => {
    ftruncateSync(fd, 0);
    writeSync(fd, bytes, 0, bytes.length, 0);
    leasedDigests(store);
  };
}

async function expand(bytes: Bytes): Promise<void> {
  const expander = new Expander({ write: () => {} } as never, 1024 * 1024);
  await expander.write(bytes);
  await expander.finish();
}

const SHARED_MEMORY = "/dev/shm";

/** Readies a target in a folder of its own, in memory where there is such a place. */
export async function prepared(
  target: Target,
): Promise<{ run: (bytes: Bytes) => unknown; seeds: Buffer[]; close: () => void }> {
  const folder = mkdtempSync(join(existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir(), "ctd-decoder-fuzz-"));
  const run = await target.prepare(folder);
  return {
    run,
    seeds: seedsOf(...target.corpus),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
