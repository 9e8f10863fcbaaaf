import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { copyImage } from "../support/images.ts";
import { type Finished, skopeo } from "../support/peers.ts";
import { Cluster, writeOwn, writeShadow } from "./cluster.ts";
import { setKey } from "./images.ts";
import { REGISTRY } from "./node.ts";
import { byCri, byCtr, describeNode } from "./suite.ts";

const ARGS = [
  "--tenant-keys",
  "kubelet",
  "--kubeconfig",
  "{folder}/kube/kubelet.conf",
  "--sealed-dir",
  "{folder}/sealed",
  "--audit-log",
  "{folder}/audit",
];
const A_IMAGE = `${REGISTRY}/tenant-a/app:v1`;

/** How often each denial is tried. Rounds pull by the CRI and by ctr in turn. */
const ROUNDS = Array.from({ length: Number(process.env["ROUNDS"] ?? 1) }, (_, i) => i + 1);
/** With containerd 2.x, the CRI pulls by itself and ctr by the transfer service: both ways are tried. */
const START = { processors: "zstd apart", args: ARGS, localPull: true } as const;

describeNode("with two tenants on it", START, (suite) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start(suite);
    await suite.encrypt(skopeo, "plain", "for-a");
    await pushAs("for-a", A_IMAGE);
  });
  afterAll(() => cluster.stop());
  beforeEach(async () => {
    setKey(suite.node);
    cluster.reset();
  });

  const pushAs = (tag: string, reference: string) =>
    copyImage(suite.node.inside(skopeo), `oci:${suite.layout}:${tag}`, `docker://${reference}`);

  describe.each([
    ["CRI", byCri],
    ["ctr", byCtr],
  ])("pulled by %s", (_client, pull) => {
    test("a Pod's Secret opens its image, and each layer is sealed", async () => {
      expect(await pull(suite.node, A_IMAGE)).toBeNull();
      expect(readdirSync(join(suite.node.folder, "sealed"))).toHaveLength(suite.mediaTypes("for-a").length);
      const lines = readFileSync(join(suite.node.folder, "audit"), "utf8").trimEnd().split("\n");
      expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({
        verdict: "authentic",
        pods: ["tenant-a/app", "tenant-a/another"],
        repositories: ["127.0.0.1/tenant-a/app"],
        chains: [expect.stringMatching(/^sha256:[0-9a-f]{64}$/)],
        key: "Secret tenant-a/key: key.pem",
      });
      // For each layer, the Pods of the node and the Secret that both of tenant-a's name.
      const secret = "GET /api/v1/namespaces/tenant-a/secrets/key";
      const list = expect.stringMatching(/^GET \/api\/v1\/pods\?/);
      expect(cluster.takeRequests().sort()).toEqual(
        [secret, list].flatMap((it) => suite.mediaTypes("for-a").map(() => it)),
      );
      const ran = await cluster.runAs("tenant-a", A_IMAGE);
      expect(ran).toMatchObject({ exit: 0 });
      expect(ran.stdout.toString()).toBe(suite.listing);
      expect(cluster.takeRequests()).toEqual(["GET /api/v1/namespaces/tenant-a/pods/app", secret]);
      expect(await cluster.runAs("tenant-a", A_IMAGE)).toMatchObject({ exit: 0 });
      expect(cluster.takeRequests()).toEqual([]);
    });

    test.each([
      ["no Pod waits for it", () => cluster.set({ pods: [] }), /no Pod of this node waits/],
      ["the Secret is gone", () => cluster.set({ secrets: [] }), /no Secret of type/],
      [
        "the Secret is of another type",
        () => cluster.set({ secrets: cluster.secrets.map((it) => ({ ...it, type: "Opaque" })) }),
        /no Secret of type/,
      ],
      [
        "the API server is down",
        () => cluster.set({ isDown: true }),
        /API server .* can't be asked[\s\S]*hint: the node's own keys do not help: no key here opens this layer/,
      ],
    ])("it stays closed when %s", async (_what, change, message) => {
      change();
      const outcomes = [
        await pull(suite.node, A_IMAGE),
        await pull(suite.node, A_IMAGE),
        await pull(suite.node, A_IMAGE),
      ];
      for (const outcome of outcomes) expect(outcome).toBeTypeOf("string");
      expect(outcomes.join("\n")).toMatch(message);
      await suite.node.collectGarbage();
      expect(await suite.node.snapshots()).toEqual([]);
    });
  });

  describe.each(ROUNDS)("another tenant, round %i,", (round) => {
    const pull = round % 2 === 1 ? byCri : byCtr;
    beforeEach(async () => {
      expect(await pull(suite.node, A_IMAGE)).toBeNull();
    });

    test("can't run the image that is on the node, by its own name", async () => {
      expectDenied(await cluster.runAs("tenant-b", A_IMAGE));
    });

    test("can't run a copy of the manifest in its own repository", async () => {
      const copy = `${REGISTRY}/tenant-b/copy:v1`;
      await pushAs("for-a", copy);
      expect(await pull(suite.node, copy)).toBeNull();
      expectDenied(await cluster.runAs("tenant-b", copy));
    });

    test("can't run an image of junk that names the chain", async () => {
      const shadow = `${REGISTRY}/tenant-b/shadow:v1`;
      await writeShadow(suite, "shadow");
      await pushAs("shadow", shadow);
      suite.node.takeCalls();
      expect(await pull(suite.node, shadow)).toBeNull();
      expect(suite.node.takeCalls()).toEqual([]);
      expectDenied(await cluster.runAs("tenant-b", shadow));
      expect(await cluster.runAs("tenant-a", A_IMAGE)).toMatchObject({ exit: 0 });
    });

    test("can't run an image of its own, encrypted for its own key, that names the chain", async () => {
      const forged = `${REGISTRY}/tenant-b/forged:v1`;
      await writeShadow(suite, "forged-plain");
      await suite.encrypt(skopeo, "forged-plain", "forged", [suite.wrongKey]);
      await pushAs("forged", forged);
      expect(await pull(suite.node, forged)).toBeNull();
      expectDenied(await cluster.runAs("tenant-b", forged));
    });

    test("runs its own plain image", async () => {
      const own = `${REGISTRY}/tenant-b/own:v1`;
      await writeOwn(suite, "own");
      await pushAs("own", own);
      expect(await pull(suite.node, own)).toBeNull();
      expect(await cluster.runAs("tenant-b", own)).toMatchObject({ exit: 0 });
    });
  });

  describe("a base that one tenant encrypts and the other has plain", () => {
    const base = `${REGISTRY}/tenant-b/base:v1`;
    beforeAll(() => pushAs("plain", base));

    test("is everybody's when the plain image came first", async () => {
      expect(await byCri(suite.node, base)).toBeNull();
      expect(await byCri(suite.node, A_IMAGE)).toBeNull();
      expect(await cluster.runAs("tenant-b", base)).toMatchObject({ exit: 0 });
      expect(await cluster.runAs("tenant-a", A_IMAGE)).toMatchObject({ exit: 0 });
    });

    test("is its owner's when the encrypted image came first", async () => {
      expect(await byCri(suite.node, A_IMAGE)).toBeNull();
      expect(await byCri(suite.node, base)).toBeNull();
      expectDenied(await cluster.runAs("tenant-b", base));
      expect(await cluster.runAs("tenant-a", A_IMAGE)).toMatchObject({ exit: 0 });
    });
  });

  describe("what was allowed", () => {
    beforeEach(async () => {
      expect(await byCri(suite.node, A_IMAGE)).toBeNull();
    });

    test("stays so for the Pod when the API server goes, and not for a new one", async () => {
      expect(await cluster.runAs("tenant-a", A_IMAGE)).toMatchObject({ exit: 0 });
      cluster.set({ isDown: true });
      expect(await cluster.runAs("tenant-a", A_IMAGE)).toMatchObject({ exit: 0 });
      const other = await cluster.runAs("tenant-a", A_IMAGE, "another");
      expect(other.exit).not.toBe(0);
      expect(other.stderr).toMatch(/API server .* can't be asked/);
    });

    test("ends for new Pods with the Secret", async () => {
      cluster.set({ secrets: [] });
      expectDenied(await cluster.runAs("tenant-a", A_IMAGE));
    });

    test("needs the gate: without it no container starts", async () => {
      cluster.removeGate();
      const ran = await cluster.runAs("tenant-a", A_IMAGE);
      expect(ran.exit).not.toBe(0);
      expect(ran.stdout.toString()).toBe("");
    });

    test("a record that can't be read closes the chain for all", async () => {
      const sealed = join(suite.node.folder, "sealed");
      const [chain] = readdirSync(sealed);
      for (const name of readdirSync(join(sealed, chain ?? "")))
        writeFileSync(join(sealed, chain ?? "", name), "{");
      const ran = await cluster.runAs("tenant-a", A_IMAGE);
      expect(ran.exit).not.toBe(0);
      expect(ran.stderr).toMatch(/seal records .* can't be read/);
    });
  });

  test("a layer that the node's key opens is every Pod's", async () => {
    setKey(suite.node, suite.rightKey.privatePath("pkcs8.pem"));
    cluster.set({ isDown: true });
    expect(await byCri(suite.node, A_IMAGE)).toBeNull();
    expect(await cluster.runAs("tenant-b", A_IMAGE)).toMatchObject({ exit: 0 });
  });
});

function expectDenied({ exit, stdout, stderr }: Finished): void {
  expect(exit).not.toBe(0);
  expect(stdout.toString()).toBe("");
  expect(stderr).toMatch(/Pod tenant-[ab]\/app has no key for layer sha256:[0-9a-f]{64}/);
}
