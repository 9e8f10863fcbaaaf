import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { NamedLayer } from "../../../src/containerd/store/manifests.ts";
import { requireTrusted } from "../../../src/trust/gate.ts";
import { ContentStore } from "../../support/content-store.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, removeVerdicts, storeSignature, writeSettings } from "../../support/trust.ts";

const REFERENCE = "127.0.0.1:1/app";
const LAYER = `sha256:${"1a".repeat(32)}`;
const INDEX = "application/vnd.oci.image.index.v1+json";
const ALL = () => true;

describeWith([root], "a layer that is about to be decrypted", {}, () => {
  const signer = newSigner();
  let place: string;
  let store: ContentStore;
  let settings: string;
  const signed: string[] = [];

  beforeEach(() => {
    place = temporaryFolder();
    store = new ContentStore(join(place, "root"));
    writeFileSync(join(place, "key.pub"), signer.publicKey);
    const rule = {
      type: "sigstoreSigned",
      keyPath: join(place, "key.pub"),
      signedIdentity: { type: "matchRepository" },
    };
    writeFileSync(join(place, "policy.json"), JSON.stringify({ default: [rule] }));
    settings = writeSettings(join(place, "settings"), {
      policy: join(place, "policy.json"),
      signature_store: join(place, "signatures"),
      hosts_dir: join(place, "no-hosts"),
      registries_d: join(place, "no-registries"),
    });
  });
  afterEach(() => {
    for (const digest of signed.splice(0)) removeVerdicts(digest);
  });

  const layer = (more: object = {}) => ({
    ...{ mediaType: "application/vnd.oci.image.layer.v1.tar+encrypted", digest: LAYER, size: 1 },
    ...more,
  });
  const manifest = (...layers: readonly object[]) => store.addManifest(layers as never);

  function addIndex(index: object): string {
    return store.add(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], ...index }));
  }

  function sign(digest: string): void {
    signed.push(digest);
    storeSignature(join(place, "signatures"), signer, { digest, reference: REFERENCE });
  }

  async function isTrusted(isMeant: (it: NamedLayer) => boolean = ALL): Promise<boolean | string> {
    const gated = { digest: LAYER, store: store.folder, imageReference: REFERENCE };
    return await requireTrusted(gated, isMeant, settings, {}).then(
      () => true,
      ({ code, message }) => `${code}: ${message}`,
    );
  }

  /** An earlier verdict is enough, unless a file changes. */
  async function expectVerdict(): Promise<void> {
    rmSync(join(place, "signatures"), { recursive: true });
    expect(await isTrusted()).toBe(true);
    for (const digest of signed) removeVerdicts(digest);
    expect(await isTrusted()).toMatch(/^UNTRUSTED: no image with this layer is trusted: /);
  }

  test("is one of a signed manifest, or of one that was signed when it was checked", async () => {
    const digest = manifest(layer());
    expect(await isTrusted()).toMatch(
      /^UNTRUSTED: no image with this layer is trusted: 127\.0\.0\.1:1\/app: /,
    );
    sign(digest);
    expect(await isTrusted()).toBe(true);
    await expectVerdict();
  });

  test("is one of a manifest of a signed index", async () => {
    const digest = manifest(layer());
    const index = addIndex({ manifests: [{ digest: `sha256:${"0".repeat(64)}` }, { digest }] });
    sign(index);
    expect(await isTrusted()).toBe(true);
    await expectVerdict();
  });

  test("is not trusted for an index that mentions its manifest in another way", async () => {
    const digest = manifest(layer());
    sign(addIndex({ annotations: { mentions: digest } }));
    sign(addIndex({ manifests: { digest } }));
    sign(addIndex({ manifests: [{ digest: `sha256:${"0".repeat(64)}`, other: digest }] }));
    expect(await isTrusted()).toMatch(/^UNTRUSTED: /);
  });

  test("is not trusted for a manifest that names it in another way", async () => {
    const key = { annotations: { key: "meant" } };
    const isMeant = ({ annotations }: NamedLayer) => annotations["key"] === "meant";
    sign(manifest(layer()));
    expect(await isTrusted(isMeant)).toBe(
      `UNTRUSTED: no image with this layer is trusted: no manifest in ${store.folder} names ${LAYER} with this key`,
    );
    manifest(layer(key));
    expect(await isTrusted(isMeant)).toMatch(/trusted: 127\.0\.0\.1:1\/app: /);
    sign(manifest(layer(), layer(key)));
    expect(await isTrusted(isMeant)).toBe(true);
  });
});
