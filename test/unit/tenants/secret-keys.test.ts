import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import type { KeySet } from "../../../src/keys/keyset.ts";
import { Secret } from "../../../src/secret.ts";
import { KubeApi } from "../../../src/tenants/api.ts";
import { readKubeconfig } from "../../../src/tenants/kubeconfig.ts";
import {
  destroyKeys,
  readTenantKeys,
  SECRET_TYPE,
  type TenantKeys,
} from "../../../src/tenants/secret-keys.ts";
import { KubeApiDouble, type PodOptions } from "../../support/kube-api.ts";

let folder: string;
let double: KubeApiDouble;
const PEM = generateKeyPairSync("ec", { namedCurve: "P-256" })
  .privateKey.export({ type: "pkcs8", format: "pem" })
  .toString();
const PGP_KEY = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n";
const TOKEN_FILE = "pkcs11:\n  uri: pkcs11:object=node?pin-value=1234\n";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "secrets-"));
  double = await KubeApiDouble.start(folder);
});
afterAll(async () => {
  await double.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => double.reset());

async function keysOf(...pods: PodOptions[]): Promise<TenantKeys> {
  double.pods.push(...pods);
  const api = new KubeApi(() => readKubeconfig(double.kubeconfig(), {}));
  try {
    return await readTenantKeys(api, await api.podsOf("node-1"));
  } finally {
    api.close();
  }
}

function secret(namespace: string, name: string, data: Record<string, string>, type = SECRET_TYPE): void {
  double.secrets.push({ namespace, name, type, data });
}

test("keys come from Secrets of the right type, named with their origin", async () => {
  secret("tenant-a", "key", { "app.pem": PEM });
  secret("tenant-a", "registry", { ".dockerconfigjson": "{}" }, "kubernetes.io/dockerconfigjson");
  const found = await keysOf({ namespace: "tenant-a", name: "app", secrets: ["registry", "key"] });
  expect(found.secrets).toEqual(["tenant-a/key"]);
  expect(found.keys.keys).toMatchObject([{ origin: "Secret tenant-a/key: app.pem" }]);
});

/** The bytes of secrets that are destroyed from now on. */
function watchDestroyed(): Uint8Array[] {
  const destroyed: Uint8Array[] = [];
  const { destroy } = Secret.prototype;
  const spy = vi.spyOn(Secret.prototype, "destroy").mockImplementation(function (this: Secret) {
    destroyed.push(this.bytes);
    destroy.call(this);
  });
  onTestFinished(() => spy.mockRestore());
  return destroyed;
}

test("a tenant can't make the node use its token, and the file that names it is zeroed", async () => {
  secret("tenant-a", "key", { "token.yaml": TOKEN_FILE });
  const destroyed = watchDestroyed();
  const { keys } = await keysOf({ namespace: "tenant-a", name: "app", secrets: ["key"] });
  expect(keys.tokenKeys).toEqual([]);
  expect(destroyed.map((bytes) => bytes.length)).toContain(TOKEN_FILE.length);
});

test("a set's keys, keyrings and token files are all zeroed", () => {
  const bytes = () => new Uint8Array(8).fill(1);
  const [pkcs8, other, ring, yaml] = [bytes(), bytes(), bytes(), bytes()];
  const set: KeySet = {
    keys: [pkcs8, other].map((it) => ({ type: "ec", curve: "P-256", origin: "a", pkcs8: new Secret(it) })),
    certificates: [],
    keyrings: [{ data: ring, origin: "b", passphrases: [] }],
    tokenKeys: [{ yaml: new Secret(yaml), origin: "c" }],
    parameters: new Map(),
    skipped: [],
  };
  destroyKeys(set);
  for (const zeroed of [pkcs8, other, ring, yaml]) expect(zeroed).toEqual(new Uint8Array(8));
});

test.each([
  ["names Secrets without end", Array.from({ length: 100 }, (_, i) => `key-${i}`)],
  ["names what is not a Secret", ["../pods", "UPPER"]],
])("a tenant that %s does not keep another's key away", async (_what, secrets) => {
  secret("tenant-b", "key", { "app.pem": PEM });
  const found = await keysOf(
    { namespace: "tenant-a", name: "greedy", secrets },
    { namespace: "tenant-b", name: "app", secrets: ["key"] },
  );
  expect(found.secrets).toEqual(["tenant-b/key"]);
  const requests = double.requests.filter((it) => it.includes("/namespaces/tenant-a/secrets/"));
  expect(requests.length).toBeLessThanOrEqual(8);
});

test("8 Secrets of a namespace are read, and no more", async () => {
  const names = Array.from({ length: 9 }, (_, i) => `key-${i}`);
  for (const name of names) secret("tenant-a", name, { "app.pem": PEM });
  const found = await keysOf({ namespace: "tenant-a", name: "app", secrets: names });
  expect(found.secrets).toEqual(names.slice(0, 8).map((name) => `tenant-a/${name}`));
});

test("a key of 1 MiB is read, and no larger one", async () => {
  const skipped = async (size: number) => {
    double.reset();
    secret("tenant-a", "key", { "app.pem": PEM.padEnd(size, "\n") });
    const { keys } = await keysOf({ namespace: "tenant-a", name: "app", secrets: ["key"] });
    return keys.skipped.map(({ reason }) => reason);
  };
  expect(await skipped(1_048_576)).toEqual([]);
  expect(await skipped(1_048_577)).toEqual(["larger than 1048576 bytes"]);
});

test("a tenant of many namespaces does not keep another's key away, nor raise the number of requests", async () => {
  const names = Array.from({ length: 8 }, (_, i) => `key-${i}`);
  const greedy = Array.from({ length: 20 }, (_, i) => ({
    namespace: `b-${i}`,
    name: "greedy",
    secrets: names,
  }));
  secret("tenant-a", "key", { "app.pem": PEM });
  const found = await keysOf(...greedy, { namespace: "tenant-a", name: "app", secrets: ["key"] });
  expect(found.secrets).toEqual(["tenant-a/key"]);
  expect(double.requests.filter((it) => it.includes("/secrets/"))).toHaveLength(64);
});

test("one namespace gives so many keys and no more", async () => {
  const kinds = { pem: PEM, asc: PGP_KEY };
  const many = Object.fromEntries(
    Array.from({ length: 50 }, (_, i) =>
      Object.entries(kinds).map(([kind, key]) => [`${i}.${kind}`, key]),
    ).flat(),
  );
  secret("tenant-a", "key", many);
  const destroyed = watchDestroyed();
  const { keys } = await keysOf({ namespace: "tenant-a", name: "app", secrets: ["key"] });
  expect(keys.keys).toHaveLength(32);
  expect(keys.keyrings).toHaveLength(32);
  expect(destroyed.filter((bytes) => bytes.every((byte) => byte === 0)).length).toBeGreaterThanOrEqual(18);
});

test("without an answer for any namespace there are no keys", async () => {
  await expect(keysOf({ namespace: "tenant-a", name: "app", secrets: ["../x"] })).rejects.toMatchObject({
    code: "TENANTS",
  });
});
