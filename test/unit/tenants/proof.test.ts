import { createHmac, generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { blobPath } from "../../../src/containerd/store/place.ts";
import { Secret } from "../../../src/secret.ts";
import type { KubeApi } from "../../../src/tenants/api.ts";
import { admit } from "../../../src/tenants/gate.ts";
import { seal as sealChain } from "../../../src/tenants/layer-keys.ts";
import { SealRecords } from "../../../src/tenants/seal-record.ts";
import { SECRET_TYPE } from "../../../src/tenants/secret-keys.ts";
import { Verdicts } from "../../../src/tenants/verdicts.ts";
import { boltDatabase } from "../../support/bolt.ts";
import { sha256, tar } from "../../support/images.ts";
import { JWE, type Sealed, seal } from "../../support/sealed.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const KEYS = { "tenant-a": newKey(), "tenant-b": newKey() };
type Tenant = keyof typeof KEYS;

function newKey() {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** A's layer, and the only chain that it completes. */
const plaintext = await tar({ secret: Buffer.from("of A") });
const LAYER = seal(plaintext, KEYS["tenant-a"].publicKey, { mediaType: tarType() });
const CHAIN = sha256(plaintext);
const DIGEST = LAYER.descriptor.digest ?? "";

function tarType(): string {
  return "application/vnd.oci.image.layer.v1.tar+encrypted";
}

/** A's ciphertext with a stranger's key, under which its HMAC holds. */
function forged(tenant: Tenant = "tenant-b"): { readonly key: Buffer; readonly layer: Sealed } {
  const key = randomBytes(32);
  const hmac = createHmac("sha256", key).update(LAYER.ciphertext).digest("base64");
  const layer = seal(plaintext, KEYS[tenant].publicKey, {
    mediaType: tarType(),
    privateOptions: { symkey: key.toString("base64") },
    publicOptions: { hmac },
  });
  return { key, layer };
}

let root: string;
let store: string;
let records: SealRecords;

beforeEach(() => {
  root = mkdtempSync(join(folder, "root-"));
  store = join(root, "io.containerd.content.v1.content");
  for (const name of ["io.containerd.metadata.v1.bolt", "io.containerd.content.v1.content/blobs/sha256"])
    mkdirSync(join(root, name), { recursive: true });
  records = new SealRecords(join(root, "sealed"));
  putBlob(LAYER.ciphertext);
  putManifest(LAYER);
  writeMetadata({
    leases: { a: pullOf(CHAIN), b: pullOf(`sha256:${"b".repeat(64)}`) },
    snapshots: { overlayfs: {} },
  });
});

/** A pull that holds the layer and makes a chain. */
function pullOf(chain: string) {
  return { content: { [DIGEST]: "" }, snapshots: { overlayfs: { [`extract-1-abc ${chain}`]: "" } } };
}

function writeMetadata(namespace: Parameters<typeof boltDatabase>[0]): void {
  const database = boltDatabase({ v1: { "k8s.io": namespace } });
  writeFileSync(join(root, "io.containerd.metadata.v1.bolt/meta.db"), database);
}

function putBlob(bytes: Uint8Array): void {
  writeFileSync(blobPath(store, sha256(bytes)), bytes);
}

function putManifest({ descriptor }: Sealed): void {
  putBlob(Buffer.from(JSON.stringify({ schemaVersion: 2, layers: [descriptor] })));
}

const sealWith = (key: Buffer, owner: "node" | "tenant" = "tenant") =>
  sealChain(records, new Secret(Uint8Array.from(key)), { store, digest: DIGEST, owner });

interface Node {
  readonly sharesNodeLayers: boolean;
  readonly environment: Readonly<Record<string, string>>;
}

/** Asks for a container on the chain, once its snapshot is there. */
async function outcomeFor(
  tenant: Tenant,
  { sharesNodeLayers, environment }: Node = { sharesNodeLayers: true, environment: {} },
): Promise<string> {
  writeMetadata({ snapshots: { overlayfs: { id: { parent: CHAIN }, [CHAIN]: { name: "1" } } } });
  const pod = { namespace: tenant, name: "app", uid: "uid" };
  const pem = KEYS[tenant].privateKey.export({ format: "pem", type: "pkcs8" });
  const api = {
    pod: async () => ({ metadata: pod, spec: { imagePullSecrets: [{ name: "key" }] } }),
    secret: async () => ({ type: SECRET_TYPE, data: { "key.pem": Buffer.from(pem).toString("base64") } }),
  } as unknown as KubeApi;
  const schemes = { environment, providerTimeoutMs: 20_000, providerLegacyDc: false, verbose: false };
  try {
    await admit(
      { namespace: "k8s.io", containerId: "id", mounts: [], pod },
      { store, schemes, sharesNodeLayers, exempt: new Set() },
      { records, verdicts: new Verdicts(join(root, `verdicts-${tenant}`)), api: () => api },
    );
    return "allowed";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const DENIED = expect.stringMatching(/^Pod tenant-b\/app has no key for layer sha256:[0-9a-f]{64}$/);

test("the tenant whose key opens the layer may use its chain, and the other may not", async () => {
  await sealWith(LAYER.key);
  expect([await outcomeFor("tenant-a"), await outcomeFor("tenant-b")]).toEqual(["allowed", DENIED]);
});

describe("a pull of the same layer with a stranger's key, while the chain is being made,", () => {
  test.each(["node", "tenant"] as const)(
    "takes nothing from its owner, opened by a %s's key",
    async (owner) => {
      const { key, layer } = forged();
      putManifest(layer);
      await sealWith(LAYER.key);
      await sealWith(key, owner);
      expect([await outcomeFor("tenant-a"), await outcomeFor("tenant-b")]).toEqual(["allowed", DENIED]);
    },
  );

  test("takes nothing from its owner when it comes first", async () => {
    const { key, layer } = forged();
    putManifest(layer);
    await sealWith(key, "node");
    await sealWith(LAYER.key);
    expect([await outcomeFor("tenant-a"), await outcomeFor("tenant-b")]).toEqual(["allowed", DENIED]);
  });

  test("takes nothing from its owner when it is wrapped for the owner", async () => {
    const { key, layer } = forged("tenant-a");
    putManifest(layer);
    await sealWith(LAYER.key);
    await sealWith(key);
    expect([await outcomeFor("tenant-a"), await outcomeFor("tenant-b")]).toEqual(["allowed", DENIED]);
  });
});

test("the owner's key is tried on its own image before those of many strangers", async () => {
  const packet = Object.values(forged("tenant-a").layer.descriptor.annotations)[0] ?? "";
  for (let i = 1; i <= 20; i++) {
    const { layer } = forged("tenant-b");
    const annotations = { ...layer.descriptor.annotations, [JWE]: Array(i).fill(packet).join(",") };
    putManifest({ ...layer, descriptor: { ...layer.descriptor, annotations } });
  }
  await sealWith(LAYER.key);
  const operations = vi.spyOn(crypto.subtle, "deriveBits");
  try {
    expect(await outcomeFor("tenant-a")).toBe("allowed");
    expect(operations.mock.calls.length).toBeLessThanOrEqual(2);
  } finally {
    operations.mockRestore();
  }
});

test("a key provider of the node proves nothing about a Pod", async () => {
  const { annotations } = LAYER.descriptor;
  const options = {
    symkey: LAYER.key.toString("base64"),
    cipheroptions: { nonce: LAYER.nonce.toString("base64") },
  };
  const answer = { keyunwrapresults: { optsdata: Buffer.from(JSON.stringify(options)).toString("base64") } };
  const script = `cat >/dev/null; printf %s '${JSON.stringify(answer)}'`;
  const config = join(root, "providers.json");
  writeFileSync(
    config,
    JSON.stringify({ "key-providers": { kms: { cmd: { path: "/bin/sh", args: ["-c", script] } } } }),
  );
  const environment = { OCICRYPT_KEYPROVIDER_CONFIG: config, PATH: process.env["PATH"] ?? "" };
  const wrapped = {
    "org.opencontainers.image.enc.keys.provider.kms": Buffer.from("packet").toString("base64"),
  };
  putManifest({ ...LAYER, descriptor: { ...LAYER.descriptor, annotations: { ...annotations, ...wrapped } } });
  await sealWith(LAYER.key, "node");
  const node = { sharesNodeLayers: false, environment };
  expect([await outcomeFor("tenant-a", node), await outcomeFor("tenant-b", node)]).toEqual([
    "allowed",
    DENIED,
  ]);
});
