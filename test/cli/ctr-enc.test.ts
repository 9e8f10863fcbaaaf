import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Node } from "../containerd/node.ts";
import { testedRelease } from "../containerd/release.ts";
import { type KeyPairFiles, rsaKeys, succeed } from "../support/cli.ts";
import { diffId, layersOf, readBlob, tar, writeImage } from "../support/images.ts";
import { putPlatforms, readDocument, rootOf } from "../support/layouts.ts";
import { busybox, ctrImgcrypt, describeWith, ours, output, registry, root } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** imgcrypt's own client, which needs a containerd to keep the images. */
const folder = temporaryFolder();
const plain = join(folder, "plain");
const index = join(folder, "index");
const release = testedRelease();
const needs = [root, busybox, registry, ctrImgcrypt, ours, ...release.needs];

describeWith(needs, "ctr-enc", {}, () => {
  let keys: KeyPairFiles;
  let node: Node;
  let count = 0;

  beforeAll(async () => {
    keys = await rsaKeys(join(folder, "keys"), "node");
    const tars = [
      await tar({ "bin/tool": Buffer.alloc(100_000, "tool") }),
      await tar({ x: Buffer.from("second") }),
    ];
    writeImage(
      plain,
      "v1",
      tars.map((it, i) => ({ tar: it, compression: i === 0 ? "gzip" : "none" }) as const),
    );
    const contents = layersOf(plain, "v1").map((it, i) => {
      const bytes = readBlob(plain, it);
      return { bytes, compression: i === 0 ? "gzip" : "none", diffId: diffId(bytes) } as const;
    });
    putPlatforms(index, contents);
    node = await Node.start(release);
  });
  afterAll(() => node.stop());

  /** This folder is the node's, because containerd reads and writes only there. */
  const fresh = () => join(node.folder, `image-${count++}.tar`);
  const ctrEnc = async (...args: string[]) =>
    await output(ctrImgcrypt, [
      "--address",
      join(node.folder, "containerd.sock"),
      "--namespace",
      "k8s.io",
      ...args,
    ]);

  async function importImage(layout: string): Promise<string> {
    await ctrEnc(
      "images",
      "import",
      "--all-platforms",
      "--base-name",
      "localhost/test",
      await archived(layout),
    );
    return "localhost/test:v1";
  }

  /** Turns the layout into an archive by encrypting and decrypting it, so that no other tool is needed. */
  async function archived(layout: string): Promise<string> {
    const [encrypted, archive] = [fresh(), fresh()];
    await succeed([
      "encrypt",
      "-q",
      "--recipient",
      `jwe:${keys.publicKey}`,
      `oci:${layout}`,
      `oci-archive:${encrypted}:v1`,
    ]);
    await succeed([
      "decrypt",
      "-q",
      "--key",
      keys.privateKey,
      `oci-archive:${encrypted}`,
      `oci-archive:${archive}:v1`,
    ]);
    return archive;
  }

  test("we verify what it encrypts, and decrypt it to the original image", async () => {
    const [name, exported, decrypted] = [await importImage(index), fresh(), join(folder, "decrypted")];
    await ctrEnc("images", "encrypt", "--recipient", `jwe:${keys.publicKey}`, name, `${name}-enc`);
    await ctrEnc("images", "export", "--all-platforms", exported, `${name}-enc`);
    expect(await succeed(["verify", "--key", keys.privateKey, `oci-archive:${exported}`])).toContain(
      "4 layers",
    );
    await succeed([
      "decrypt",
      "-q",
      "--key",
      keys.privateKey,
      `oci-archive:${exported}`,
      `oci:${decrypted}:v1`,
    ]);
    const layers = (layout: string) =>
      readDocument(layout, rootOf(layout)).manifests.map((it: { digest: string }) =>
        readDocument(layout, it).layers.map(({ digest }: { digest: string }) => digest),
      );
    expect(layers(decrypted)).toEqual(layers(index));
  });

  test("it imports, shows and decrypts what we encrypt", async () => {
    const encrypted = fresh();
    await succeed([
      "encrypt",
      "-q",
      "--recipient",
      `jwe:${keys.publicKey}`,
      `oci:${index}`,
      `oci-archive:${encrypted}:v1`,
    ]);
    await ctrEnc(
      "images",
      "import",
      "--all-platforms",
      "--no-unpack",
      "--base-name",
      "localhost/ours",
      encrypted,
    );
    expect((await ctrEnc("images", "layerinfo", "localhost/ours:v1")).toString()).toMatch(/jwe/);
    await ctrEnc("images", "decrypt", "--key", keys.privateKey, "localhost/ours:v1", "localhost/ours:plain");
    const exported = fresh();
    await ctrEnc("images", "export", "--all-platforms", exported, "localhost/ours:plain");
    const shown = JSON.parse(await succeed(["inspect", "--json", `oci-archive:${exported}`]));
    const digests = shown.platforms.map(({ layers }: { layers: { digest: string }[] }) =>
      layers.map(({ digest }) => digest),
    );
    const expected = layersOf(plain, "v1").map(({ digest }) => digest);
    expect(digests).toEqual([expected, expected]);
  });
});
