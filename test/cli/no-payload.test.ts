import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { ContentStore } from "../support/content-store.ts";
import { type DecoderCall, decode } from "../support/decoder.ts";
import { claim, type Encrypted, encryptFor } from "../support/encrypted.ts";
import { type KeyFiles, writeKeys } from "../support/keys.ts";
import { flipBit, plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, ours, type Peer } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const linux =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it needs Linux's /proc" };

/** This process does what containerd does: it has the layer's blob open, and is the decoder's parent. */
describeWith([ours, linux], "a layer without a payload", {}, () => {
  const folder = temporaryFolder();
  const open: number[] = [];
  let key: KeyFiles;
  let otherKey: KeyFiles;
  let keys: string;

  beforeAll(async () => {
    key = await writeKeys(join(folder, "key"), "P-256");
    otherKey = await writeKeys(join(folder, "other"), "P-256");
    keys = dirname(key.privatePath("pkcs8.pem"));
  });

  afterEach(() => {
    for (const fd of open.splice(0)) closeSync(fd);
  });

  const newStore = () => new ContentStore(mkdtempSync(join(folder, "root-")));
  const encrypt = (plaintext: Uint8Array, to = key) =>
    encryptFor([`jwe:${to.publicPath("spki.pem")}`], plaintext);

  /** Puts a layer into a store and opens it there, as containerd does while it unpacks. */
  function unpacking(store: ContentStore, { ciphertext, descriptor }: Encrypted): void {
    expect(store.add(ciphertext)).toBe(descriptor.digest);
    open.push(openSync(store.path(descriptor.digest), "r"));
  }

  function run(layer: Uint8Array, call: Partial<DecoderCall> = {}, decoder: Peer = ours) {
    const args = ["--decryption-keys-path", keys, ...(call.args ?? [])];
    return decode(decoder, { layer, mediaType: "", ...call, args });
  }

  async function expectPlaintext(
    layer: Encrypted,
    plaintext: Buffer,
    ...rest: [Partial<DecoderCall>?, Peer?]
  ) {
    const { exit, stdout, stderr } = await run(layer.ciphertext, ...rest);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(stdout.equals(plaintext)).toBe(true);
  }

  async function expectRefused(layer: Uint8Array, message: RegExp, call: Partial<DecoderCall> = {}) {
    const { exit, stdout, stderr } = await run(layer, call);
    expect({ exit, out: stdout.length }).toEqual({ exit: 1, out: 0 });
    expect(stderr).toMatch(message);
  }

  test.each([0, 100, 70_000, 20_000_000])("of %i bytes is decrypted", async (length) => {
    const store = newStore();
    const layer = await encrypt(plainBytes(length));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    await expectPlaintext(layer, plainBytes(length));
  });

  test("is refused if --content-store is longer than a path can be", async () => {
    const args = [`--content-store=/${"x/".repeat(3000)}`];
    await expectRefused(Buffer.alloc(100), /hint: --content-store names a folder/, { args });
  });

  test("is decrypted if the payload's pipe is empty", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    await expectPlaintext(layer, plainBytes(1000), { payload: Buffer.alloc(0) });
  });

  test("is decrypted if a shell script runs the decoder", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    const script = { ...ours, command: "/bin/sh", args: ["-c", `"$0" "$@"; exit $?`, ours.command] };
    await expectPlaintext(layer, plainBytes(1000), {}, script);
  });

  test("is found among others that are unpacked at the same time", async () => {
    const store = newStore();
    const layers = await Promise.all([1, 2, 3].map((n) => encrypt(Buffer.alloc(100_000, n))));
    for (const layer of layers) {
      store.addManifest([layer.descriptor]);
      unpacking(store, layer);
    }
    await Promise.all(layers.map((layer, i) => expectPlaintext(layer, Buffer.alloc(100_000, i + 1))));
  });

  test("is opened by the packets of any manifest that names it", async () => {
    const store = newStore();
    const layer = await encryptFor([`jwe:${key.publicPath("spki.pem")}`], plainBytes(1000));
    const forOthers = await encrypt(plainBytes(1000), otherKey);
    const { annotations } = forOthers.descriptor;
    store.addManifest([layer.descriptor]);
    const pulled = store.addManifest([{ ...layer.descriptor, annotations: annotations ?? {} }]);
    store.lease(pulled, layer.descriptor.digest);
    unpacking(store, layer);
    await expectPlaintext(layer, plainBytes(1000));
  });

  test("is not opened by a key that another manifest claims for it", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(100_000));
    const claimed = await encrypt(Buffer.from("anything"));
    store.addManifest([layer.descriptor]);
    store.addManifest([{ ...layer.descriptor, annotations: claimed.descriptor.annotations ?? {} }]);
    unpacking(store, layer);
    await expectPlaintext(layer, plainBytes(100_000));
  });

  describe("and for which a stranger chose a key, under which the HMAC also matches,", () => {
    async function claimed(...leased: ("layer" | "stranger")[]) {
      const store = newStore();
      const layer = await encrypt(plainBytes(100_000));
      const stranger = await claim(layer, `jwe:${key.publicPath("spki.pem")}`);
      const [first, second] = [
        store.addManifest([layer.descriptor]),
        store.addManifest([stranger.descriptor]),
      ];
      for (const which of leased) store.lease(which === "layer" ? first : second, layer.descriptor.digest);
      unpacking(store, layer);
      return layer;
    }

    test("is decrypted by the manifest that its pull leases", async () => {
      await expectPlaintext(await claimed("layer"), plainBytes(100_000));
    });

    test("is refused when no pull leases a manifest", async () => {
      const { ciphertext } = await claimed();
      await expectRefused(ciphertext, /different keys.*hint: /s);
      await expectRefused(ciphertext, /different keys/, { args: ["--release=stream"] });
    });
  });

  test("is decrypted although another open blob differs only beyond the part that is held in memory", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(20_000_000));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    const twin = store.add(flipBit(layer.ciphertext, 19_999_999));
    open.push(openSync(store.path(twin), "r"));
    await expectPlaintext(layer, plainBytes(20_000_000));
  });

  test("that was changed is refused although the store has an unchanged copy", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(100_000));
    const wrong = await encrypt(Buffer.from("anything"));
    store.addManifest([{ ...layer.descriptor, annotations: wrong.descriptor.annotations ?? {} }]);
    store.addManifest([layer.descriptor]);
    store.add(layer.ciphertext);
    const args = ["--content-store", store.folder];
    await expectPlaintext(layer, plainBytes(100_000), { args });
    await expectRefused(flipBit(layer.ciphertext, 99_999), /not authentic/, { args });
  });

  describe("and whose pull holds only manifests that claim it with a wrong key", () => {
    async function claimed(length: number, claims: number) {
      const store = newStore();
      const layer = await encrypt(plainBytes(length));
      store.addManifest([layer.descriptor]);
      const wrong = await Promise.all(Array.from({ length: claims }, () => encrypt(Buffer.from("anything"))));
      const pulled = store.addManifest(
        wrong.map(({ descriptor }) => ({ ...layer.descriptor, annotations: descriptor.annotations ?? {} })),
      );
      store.lease(pulled, layer.descriptor.digest);
      unpacking(store, layer);
      return layer;
    }

    test.each([
      ["of 1,000 bytes, claimed once", 1000, 1],
      ["of 20 MB, claimed once", 20_000_000, 1],
      ["of 1,000 bytes, claimed twice", 1000, 2],
      ["of 20 MB, claimed twice", 20_000_000, 2],
    ])("is opened by another's: %s", async (_what, length, claims) => {
      await expectPlaintext(await claimed(length, claims), plainBytes(length));
    });

    test("fails with --release=stream", async () => {
      const { ciphertext } = await claimed(1000, 1);
      await expectRefused(ciphertext, /not authentic/, { args: ["--release=stream"] });
    });
  });

  test("is decrypted although a manifest with many keys for it would crowd out its own", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    store.addManifest([layer.descriptor]);
    const claims = await Promise.all(Array.from({ length: 70 }, () => encrypt(Buffer.of(), otherKey)));
    store.addManifest(
      claims.map(({ descriptor }) => ({ ...layer.descriptor, annotations: descriptor.annotations ?? {} })),
    );
    unpacking(store, layer);
    await expectPlaintext(layer, plainBytes(1000));
  });

  test("is decrypted although another manifest gives it more packets than are tried", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    store.addManifest([layer.descriptor]);
    const annotations = {
      ...layer.descriptor.annotations,
      "org.opencontainers.image.enc.keys.jwe": ",".repeat(5000),
    };
    store.addManifest([{ ...layer.descriptor, annotations }]);
    unpacking(store, layer);
    await expectPlaintext(layer, plainBytes(1000));
  });

  test("is decrypted although its blob was unlinked meanwhile", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    rmSync(store.path(layer.descriptor.digest));
    await expectPlaintext(layer, plainBytes(1000));
  });

  test("is refused when its manifest is gone", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    const manifest = store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    rmSync(store.path(manifest));
    await expectRefused(
      layer.ciphertext,
      /no payload .*no manifest in .* names sha256:.*hint: .*use_local_image_pull/s,
    );
  });

  test("is refused with a list of the tried keys if none fits", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000), otherKey);
    const again = await encrypt(plainBytes(1000), otherKey);
    store.addManifest([layer.descriptor]);
    store.addManifest([{ ...layer.descriptor, annotations: again.descriptor.annotations ?? {} }]);
    unpacking(store, layer);
    await expectRefused(layer.ciphertext, /none of 2 manifests .*no key here opens/);
  });

  test.each([
    ["changed beyond what is compared", (bytes: Buffer) => flipBit(bytes, 150_000), /not authentic/],
    ["cut", (bytes: Buffer) => bytes.subarray(0, 150_000), /not authentic: only 150000 of 200000 bytes/],
    ["longer", (bytes: Buffer) => Buffer.concat([bytes, Buffer.of(0)]), /more bytes arrive/],
    [
      "another from its first byte",
      (bytes: Buffer) => flipBit(bytes, 0),
      /matches none of the 1 blobs that process \d+ /,
    ],
  ])("that is %s is refused", async (_what, change, message) => {
    const store = newStore();
    const layer = await encrypt(plainBytes(200_000));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    await expectRefused(change(layer.ciphertext), message);
  });

  test("that is read twice at once counts as one blob", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    open.push(openSync(store.path(layer.descriptor.digest), "r"));
    await expectPlaintext(layer, plainBytes(1000));
    await expectRefused(flipBit(layer.ciphertext, 0), /none of the 1 blobs/);
  });

  test("is refused if no process has a blob open, but is found with --content-store", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(100_000));
    store.addManifest([layer.descriptor]);
    store.add(layer.ciphertext);
    await expectRefused(layer.ciphertext, /descriptor 3, and process \d+ \(.*\) reads no blob/);
    await expectPlaintext(layer, plainBytes(100_000), { args: ["--content-store", store.folder] });
  });

  test("is not looked up with --no-content-store", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    await expectRefused(layer.ciphertext, /--no-content-store/, { args: ["--no-content-store"] });
  });

  test("with a payload, the store is not read", async () => {
    const store = newStore();
    const layer = await encrypt(plainBytes(1000));
    store.addManifest([layer.descriptor]);
    unpacking(store, layer);
    const { annotations: _, ...bare } = layer.descriptor;
    await expectRefused(layer.ciphertext, /no annotation org.opencontainers.image.enc.pubopts/, {
      payload: payload(bare),
    });
  });
});
