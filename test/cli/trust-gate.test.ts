import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { boltDatabase } from "../support/bolt.ts";
import { ContentStore } from "../support/content-store.ts";
import { decode } from "../support/decoder.ts";
import { type Encrypted, encryptFor } from "../support/encrypted.ts";
import { type KeyFiles, writeKeys } from "../support/keys.ts";
import { flipBit, plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, ours, root } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import {
  newSigner,
  removeVerdicts,
  storeSignature,
  type TestSigner,
  writeSettings,
} from "../support/trust.ts";

const NAME = "127.0.0.1/test";
const INDEX_TYPE = "application/vnd.oci.image.index.v1+json";

/** `--trust-policy`: a layer from containerd is decrypted only for an image that the policy accepts. */
describeWith([ours, root], "the decoder's gate", {}, () => {
  const folder = temporaryFolder();
  const signatures = join(folder, "signatures");
  const verdicts = join(folder, "verdicts");
  let node: KeyFiles;
  let signer: TestSigner;
  let layer: Encrypted;
  let store: ContentStore;
  let manifest: string;
  let settings: string;
  let number = 0;

  beforeAll(async () => {
    node = await writeKeys(join(folder, "node"), "P-256");
    layer = await encryptFor([`jwe:${node.publicPath("spki.pem")}`], plainBytes(5000));
  });

  beforeEach(() => {
    signer = newSigner();
    store = new ContentStore(join(folder, `root-${number++}`));
    store.add(layer.ciphertext);
    manifest = store.addManifest([layer.descriptor]);
    // As pulled from 127.0.0.1/test.
    store.lease(manifest, layer.descriptor.digest);
    writeFileSync(join(folder, "key.pub"), signer.publicKey);
    const signed = { type: "sigstoreSigned", keyPath: join(folder, "key.pub") };
    policy({ "127.0.0.1": [{ ...signed, signedIdentity: { type: "matchRepository" } }] });
    settings = writeSettings(join(folder, "settings"), { ...inFolder(), verdict_dir: verdicts });
    for (const it of [signatures, verdicts]) rmSync(it, { recursive: true, force: true });
  });

  function inFolder() {
    return {
      policy: join(folder, "policy.json"),
      signature_store: signatures,
      hosts_dir: join(folder, "no-hosts"),
      deadline: "5s",
    };
  }

  function policy(docker: Readonly<Record<string, unknown>>): void {
    writeFileSync(
      join(folder, "policy.json"),
      JSON.stringify({ default: [{ type: "reject" }], transports: { docker } }),
    );
  }

  function sign(digest: string): string {
    return storeSignature(signatures, signer, { digest, reference: NAME });
  }

  async function open(args: readonly string[] = [], { ciphertext, descriptor }: Encrypted = layer) {
    return await call({ layer: ciphertext, payload: payload(descriptor) }, args);
  }

  async function call(given: Parameters<typeof decode>[1], args: readonly string[]) {
    const flags = ["--decryption-keys-path", dirname(node.privatePath("pkcs8.pem"))];
    const gate = ["--trust-policy", settings, "--content-store", store.folder];
    const { exit, stdout, stderr } = await decode(ours, { ...given, args: [...flags, ...gate, ...args] });
    return { exit, bytes: stdout.length, stderr };
  }

  const refused = (message: RegExp) => ({ exit: 1, bytes: 0, stderr: expect.stringMatching(message) });
  const opened = { exit: 0, bytes: 5000, stderr: "" };

  test("a signed manifest opens, and its verdict opens it again without the signature", async () => {
    const path = sign(manifest);
    expect(await open()).toEqual(opened);
    expect(readdirSync(verdicts)).toHaveLength(1);
    rmSync(path);
    expect(await open()).toEqual(opened);
  });

  test("a changed policy voids the verdict", async () => {
    const path = sign(manifest);
    expect(await open()).toEqual(opened);
    rmSync(path);
    writeFileSync(join(folder, "key.pub"), newSigner().publicKey);
    expect(await open()).toEqual(
      refused(/127\.0\.0\.1\/test: no signature satisfies|127\.0\.0\.1\/test: can't reach/),
    );
  });

  test("in the usual folder, a verdict opens until one of its files changes", async () => {
    writeSettings(join(folder, "settings"), inFolder());
    const path = sign(manifest);
    try {
      expect(await open()).toEqual(opened);
      rmSync(path);
      expect(await open()).toEqual(opened);
      writeFileSync(join(folder, "key.pub"), newSigner().publicKey);
      expect(await open()).toEqual(refused(/is trusted/));
      writeFileSync(join(folder, "key.pub"), signer.publicKey);
      expect(await open()).toEqual(opened);
      policy({ "127.0.0.1": [{ type: "reject" }] });
      expect(await open()).toEqual(refused(/the policy rejects it/));
    } finally {
      removeVerdicts(manifest);
    }
  });

  test("an unsigned image is refused with advice, and nothing is released", async () => {
    expect(await open()).toEqual(refused(/no image with this layer is trusted/));
    expect(await open()).toEqual(refused(/^ctd-decoder: hint: sign the image; .* --policy \/\S+ IMAGE/m));
  });

  test("a signature by another key, of another digest or for another repository is refused", async () => {
    storeSignature(signatures, newSigner(), { digest: manifest, reference: NAME });
    expect(await open()).toEqual(refused(/is trusted/));
    storeSignature(signatures, signer, {
      digest: manifest,
      reference: NAME,
      payloadDigest: `sha256:${"0".repeat(64)}`,
    });
    expect(await open()).toEqual(refused(/is trusted/));
    storeSignature(signatures, signer, { digest: manifest, reference: "127.0.0.1/other" });
    expect(await open()).toEqual(refused(/is trusted/));
  });

  test("an index that is signed covers its manifests", async () => {
    const index = store.add(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: INDEX_TYPE,
        manifests: [{ mediaType: "application/vnd.oci.image.manifest.v1+json", digest: manifest, size: 1 }],
      }),
    );
    sign(index);
    expect(await open()).toEqual(refused(/was not pulled/));
    const annotations = {
      ...layer.descriptor.annotations,
      "containerd.io/snapshot/cri.image-ref": `${NAME}:1`,
    };
    const annotated = { ...layer, descriptor: { ...layer.descriptor, annotations } };
    expect(await open([], annotated)).toEqual(refused(/was not pulled/));
    expect(await open(["--trust-cri-annotations"], annotated)).toEqual(opened);
  });

  test("a name in a manifest's annotations is believed only if containerd passes it", async () => {
    policy({ "registry.k8s.io": [{ type: "insecureAcceptAnything" }] });
    const annotations = {
      ...layer.descriptor.annotations,
      "containerd.io/snapshot/cri.image-ref": "registry.k8s.io/pause:3.10",
    };
    const descriptor = { ...layer.descriptor, annotations };
    store.addManifest([descriptor]);
    rmSync(store.path(manifest));
    const args = ["--trust-cri-annotations"];
    expect(await open(args, { ...layer, descriptor })).toEqual(opened);
    const log = join(folder, "audit.log");
    expect(await call({ layer: layer.ciphertext }, [...args, "--audit-log", log])).toEqual(
      refused(/was not pulled/),
    );
    expect(JSON.parse(readFileSync(log, "utf8"))).toMatchObject({ image: { trusted: false } });
  });

  test("a document that only mentions a manifest does not cover it", async () => {
    const other = store.add(JSON.stringify({ manifests: [], annotations: { note: manifest } }));
    sign(other);
    expect(await open()).toEqual(refused(/is trusted/));
  });

  test("another manifest's key for a signed image's layer is refused", async () => {
    sign(manifest);
    const foreign = await encryptFor([`jwe:${node.publicPath("spki.pem")}`], plainBytes(5000));
    const { annotations } = foreign.descriptor;
    const descriptor = { ...layer.descriptor, annotations: annotations ?? {} };
    store.addManifest([descriptor]);
    expect(await open([], { ...layer, descriptor })).toEqual(refused(/is trusted/));
  });

  test("a layer with another digest than in the signed manifest is refused, whatever its HMAC", async () => {
    sign(manifest);
    const foreign = await encryptFor([`jwe:${node.publicPath("spki.pem")}`], plainBytes(5000));
    expect(await open([], { ...layer, ciphertext: foreign.ciphertext })).toEqual(refused(/./));
    expect(await open([], { ...layer, ciphertext: flipBit(layer.ciphertext, 100) })).toEqual(refused(/./));
  });

  test("a manifest that was changed on the disk does not count as the signed one", async () => {
    sign(manifest);
    const foreign = await encryptFor([`jwe:${node.publicPath("spki.pem")}`], plainBytes(5000));
    const descriptor = { ...layer.descriptor, annotations: foreign.descriptor.annotations ?? {} };
    const forged = store.addManifest([descriptor]);
    writeFileSync(store.path(manifest), JSON.stringify({ layers: [descriptor] }));
    rmSync(store.path(forged));
    expect(await open([], { ...layer, descriptor })).toEqual(
      refused(/no manifest in .* names .* with this key/),
    );
  });

  test("a scope that accepts anything opens without a signature and without a verdict", async () => {
    policy({ "127.0.0.1": [{ type: "insecureAcceptAnything" }] });
    expect(await open()).toEqual(opened);
  });

  test("an image that may be of a port where signatures are demanded needs one", async () => {
    const accept = [{ type: "insecureAcceptAnything" }];
    const signed = { type: "sigstoreSigned", keyPath: join(folder, "key.pub") };
    const docker = { "127.0.0.1:5000": [{ ...signed, signedIdentity: { type: "matchRepository" } }] };
    for (const text of [
      JSON.stringify({ default: accept, transports: { docker } }),
      JSON.stringify({
        default: [{ type: "reject" }],
        transports: { docker: { ...docker, "127.0.0.1": accept } },
      }),
    ]) {
      writeFileSync(join(folder, "policy.json"), text);
      rmSync(signatures, { recursive: true, force: true });
      rmSync(verdicts, { recursive: true, force: true });
      expect(await open()).toEqual(refused(/127\.0\.0\.1:5000\/test: /));
      storeSignature(signatures, signer, { digest: manifest, reference: "127.0.0.1:5000/test" });
      expect(await open()).toEqual(opened);
    }
  });

  test("an image that may have a tag for which signatures are demanded needs one", async () => {
    const signed = { type: "sigstoreSigned", keyPath: join(folder, "key.pub") };
    const accept = [{ type: "insecureAcceptAnything" }];
    policy({ "127.0.0.1": accept, [`${NAME}:prod`]: [signed], [`${NAME}:other/app`]: [signed] });
    expect(await open()).toEqual(refused(/127\.0\.0\.1\/test: /));
    storeSignature(signatures, signer, { digest: manifest, reference: `${NAME}:prod` });
    expect(await open()).toEqual(opened);
    writeFileSync(join(folder, "other.pub"), newSigner().publicKey);
    policy({ [NAME]: [{ ...signed, keyPath: join(folder, "other.pub") }], [`${NAME}:prod`]: [signed] });
    expect(await open()).toEqual(refused(/127\.0\.0\.1\/test: /));
    policy({ "127.0.0.1": accept, [`${NAME}s:prod`]: [signed] });
    rmSync(signatures, { recursive: true });
    expect(await open()).toEqual(opened);
  });

  test.each([`${NAME}:prod`, `${NAME}:1.?`, "127.*:prod"])(
    "Kubewarden's pattern %s demands a signature of an image whose tag is not known",
    async (image) => {
      const text = JSON.stringify({ signatures: [{ image, pubKeys: [signer.publicKey] }] });
      await expectGuarded(text);
    },
  );

  test.each([`${NAME}:prod`, `${NAME}:1*`, NAME])(
    "the glob %s demands a signature of an image whose tag is not known",
    async (glob) => {
      const policyOf = (images: readonly object[], authority: object) => {
        const spec = { images, authorities: [authority] };
        const [apiVersion, kind] = ["policy.sigstore.dev/v1beta1", "ClusterImagePolicy"];
        return `---\n${JSON.stringify({ apiVersion, kind, metadata: { name: "p" }, spec })}\n`;
      };
      const guarded = policyOf([{ glob }], { key: { data: signer.publicKey } });
      await expectGuarded(guarded);
      await expectGuarded(
        `${policyOf([{ glob: "127.0.0.1/**" }], { static: { action: "pass" } })}${guarded}`,
      );
    },
  );

  /** Under a policy that accepts other images, of an image whose tag and port containerd has not recorded yet. */
  async function expectGuarded(text: string): Promise<void> {
    const labels = { "containerd.io/distribution.source.127.0.0.1": "test" };
    const content = { blob: { [manifest]: { labels } } };
    store.describe(boltDatabase({ v1: { "k8s.io": { content } } }));
    for (const it of [signatures, verdicts]) rmSync(it, { recursive: true, force: true });
    writeFileSync(join(folder, "policy.yaml"), text);
    settings = writeSettings(join(folder, "settings"), {
      ...inFolder(),
      policy: join(folder, "policy.yaml"),
      verdict_dir: verdicts,
      unmatched: "accept",
    });
    expect(await open()).toEqual(refused(/127\.0\.0\.1\/test: /));
    sign(manifest);
    expect(await open()).toEqual(opened);
    expect(await open()).toEqual(opened);
  }

  test.each([
    ["127.0.0.1:5000/*", "accept"],
    ["127.0.0.1:5000/*", "reject"],
    ["*.0.0.1:5000/*", "accept"],
    ["127.0.0.1:*", "accept"],
    ["127.0.0.1:5*/test*", "accept"],
    ["127.0.0.1:????/test*", "accept"],
  ])(
    "Kubewarden's pattern %s demands a signature for its ports, where settings %s other images",
    async (image, unmatched) => {
      const entry = { image, pubKeys: [signer.publicKey] };
      writeFileSync(join(folder, "policy.json"), JSON.stringify({ signatures: [entry] }));
      settings = writeSettings(join(folder, "settings"), { ...inFolder(), verdict_dir: verdicts, unmatched });
      expect(await open()).toEqual(refused(/127\.0\.0\.1:\d+\/test: /));
      sign(manifest);
      expect(await open()).toEqual(opened);
    },
  );

  test("strangers' names of the same manifest don't crowd out the right one", async () => {
    sign(manifest);
    const target = { digest: manifest };
    const names = Array.from({ length: 100 }, (_, i) => [`127.0.0.1/stranger:${i}`, `a.example/${i}:1`]);
    const images = Object.fromEntries(["not a name", ...names.flat()].map((name) => [name, { target }]));
    const labels = { "containerd.io/distribution.source.127.0.0.1": "test" };
    const namespace = { images, content: { blob: { [manifest]: { labels } } } };
    store.describe(boltDatabase({ v1: { "k8s.io": namespace } }));
    expect(await open()).toEqual(opened);
  });

  test("a rejected scope, a broken policy and missing settings refuse", async () => {
    sign(manifest);
    policy({ "127.0.0.1": [{ type: "reject" }] });
    expect(await open()).toEqual(refused(/the policy rejects it/));
    writeFileSync(join(folder, "policy.json"), "{");
    expect(await open()).toEqual(refused(/policy .* can't be read/));
    rmSync(settings);
    expect(await open()).toEqual(refused(/trust\.toml/));
  });

  test("settings that others may write are refused", async () => {
    sign(manifest);
    writeFileSync(join(folder, "policy.json"), "{}", { mode: 0o666 });
    const { chmodSync } = await import("node:fs");
    chmodSync(join(folder, "policy.json"), 0o666);
    expect(await open()).toEqual(refused(/others than root may write/));
    chmodSync(join(folder, "policy.json"), 0o644);
  });
});
