import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, writeSync } from "node:fs";
import type { Socket } from "node:net";
import { dirname, join } from "node:path";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { ContentStore } from "../support/content-store.ts";
import { type DecoderCall, decode } from "../support/decoder.ts";
import { type Encrypted, encryptFor } from "../support/encrypted.ts";
import { type KeyFiles, writeKeys } from "../support/keys.ts";
import { flipBit, plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const linux =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it needs Linux's /proc" };
const MiB = 1024 * 1024;
/** More than is held in memory. */
const PLAINTEXT = plainBytes(5 * MiB + 1000);
/** With this the decoder fails as soon as it needs a temporary file. */
const NO_SPOOL = ["--spool-dir=/nonexistent"];
const SPOOL_FAILED = /can't make a temporary file in \/nonexistent/;

/** This process does what containerd does: it has the layer's blob open, and is the decoder's parent. */
describeWith([ours, linux], "a large layer whose blob containerd has open", {}, () => {
  const folder = temporaryFolder();
  const open: number[] = [];
  let key: KeyFiles;
  let layer: Encrypted;

  beforeAll(async () => {
    key = await writeKeys(join(folder, "key"), "P-256");
    layer = await encryptFor([`jwe:${key.publicPath("spki.pem")}`], PLAINTEXT);
  });

  afterEach(() => {
    for (const fd of open.splice(0)) closeSync(fd);
  });

  const flags = (...more: string[]) => [
    "--decryption-keys-path",
    dirname(key.privatePath("pkcs8.pem")),
    ...more,
  ];

  /** Puts the layer into a store and opens it there, to write. */
  function openBlob({ ciphertext } = layer): { store: ContentStore; fd: number } {
    const store = new ContentStore(mkdtempSync(join(folder, "root-")));
    const fd = openSync(store.path(store.add(ciphertext)), "r+");
    open.push(fd);
    return { store, fd };
  }

  const run = (changes: Partial<DecoderCall> = {}, args = flags(...NO_SPOOL)) =>
    decode(ours, { layer: layer.ciphertext, payload: payload(layer.descriptor), args, ...changes });

  async function expectPlaintext(...call: Parameters<typeof run>): Promise<void> {
    const { exit, stderr, stdout } = await run(...call);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(stdout.equals(PLAINTEXT)).toBe(true);
  }

  test("is read twice from the blob, and not copied", async () => {
    expect((await run()).stderr).toMatch(SPOOL_FAILED);
    openBlob();
    await expectPlaintext();
  });

  test.each(["whose descriptor has a size", "whose descriptor has no size"])(
    "also without a payload, by a manifest %s",
    async (which) => {
      const { store } = openBlob();
      const { size: _, ...bare } = layer.descriptor;
      store.addManifest([which === "whose descriptor has no size" ? (bare as Descriptor) : layer.descriptor]);
      const { mediaType } = layer.descriptor;
      const call = { layer: layer.ciphertext, args: flags(...NO_SPOOL), mediaType };
      const { exit, stdout } = await decode(ours, call);
      expect(exit).toBe(0);
      expect(stdout.equals(PLAINTEXT)).toBe(true);
    },
  );

  test("is released before standard input ends", async () => {
    openBlob();
    await expectPlaintext({ layer: layer.ciphertext.subarray(0, 64 * 1024), keepStdinOpen: true });
  });

  test("is also streamed from the blob", async () => {
    openBlob();
    const head = { layer: layer.ciphertext.subarray(0, 64 * 1024), keepStdinOpen: true };
    await expectPlaintext(head, flags("--release=stream"));
  });

  test("is compared with its digest in the blob", async () => {
    openBlob();
    await expectPlaintext({}, flags(...NO_SPOOL, "--verify-digest"));
  });

  test("is read from standard input if the open blob is another one, or has another digest or size", async () => {
    openBlob();
    const { descriptor } = layer;
    expect((await run({ layer: flipBit(layer.ciphertext, 0) })).stderr).toMatch(SPOOL_FAILED);
    const unlike = [
      { ...descriptor, digest: descriptor.digest.replace(/.$/, (hex) => (hex === "0" ? "1" : "0")) },
      { ...descriptor, size: descriptor.size + 1 },
    ];
    for (const other of unlike) {
      expect((await run({ payload: payload(other) })).stderr).toMatch(SPOOL_FAILED);
      await expectPlaintext({ payload: payload(other) }, flags());
    }
  });

  test("is read from standard input if a script runs the decoder, since the script may fail when its pipe is not read", async () => {
    openBlob();
    const script = {
      ...ours,
      command: "/bin/bash",
      args: ["-c", `set -o pipefail; cat | "$0" "$@"`, ours.command],
    };
    const call = { layer: layer.ciphertext, payload: payload(layer.descriptor), args: flags() };
    const { exit, stdout } = await decode(script, call);
    expect(exit).toBe(0);
    expect(stdout.equals(PLAINTEXT)).toBe(true);
  });

  test("is read from standard input with --no-content-store", async () => {
    openBlob();
    expect((await run({}, flags(...NO_SPOOL, "--no-content-store"))).stderr).toMatch(SPOOL_FAILED);
    await expectPlaintext({}, flags("--no-content-store"));
  });

  test("is refused before anything is released if the blob is forged", async () => {
    const { fd } = openBlob();
    writeSync(fd, flipBit(layer.ciphertext, 5 * MiB), 5 * MiB, 1, 5 * MiB);
    const { exit, stdout, stderr } = await run();
    expect({ exit, released: stdout.length }).toEqual({ exit: 1, released: 0 });
    expect(stderr).toMatch(/the layer is not authentic/);
  });

  test.each([
    ["one thread", 5],
    ["two threads", 65],
  ])("on %s, releases no bytes that changed after they were authenticated", async (_threads, mebibytes) => {
    const changed = mebibytes * MiB;
    const plaintext = plainBytes(changed + 1000);
    const layer = await encryptFor([`jwe:${key.publicPath("spki.pem")}`], plaintext);
    const { fd } = openBlob(layer);
    const child = spawn(ours.command, flags(...NO_SPOOL), { stdio: ["pipe", "pipe", "pipe", "pipe"] });
    const [stdin, stdout, stderr, fd3] = child.stdio as unknown as [Socket, Socket, Socket, Socket];
    stdin.on("error", () => {}).end(layer.ciphertext);
    fd3.end(payload(layer.descriptor));
    const exit = new Promise((resolve) => child.once("exit", resolve));
    // The first plaintext shows that the HMAC was right. What no reader takes yet is still to be read the second time.
    await new Promise((resolve) => stdout.once("readable", resolve));
    writeSync(fd, flipBit(layer.ciphertext, changed), changed, 1, changed);
    const [out, err] = await Promise.all([collect(stdout), collect(stderr)]);
    expect(await exit).toBe(1);
    expect(err.toString()).toMatch(/the layer's file was changed while it was decrypted/);
    expect(out.length).toBeGreaterThan(MiB);
    expect(out.length).toBeLessThanOrEqual(changed);
    expect(out.equals(plaintext.subarray(0, out.length))).toBe(true);
  });
});

async function collect(stream: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
