import { dirname } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { decode } from "../support/decoder.ts";
import { type Encrypted, encryptFor } from "../support/encrypted.ts";
import { type KeyFiles, writeKeys } from "../support/keys.ts";
import { flipBit, plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const OCI = "application/vnd.oci.image.layer.v1.tar";
const DOCKER = "application/vnd.docker.image.rootfs.diff.tar";

describeWith([ours], "--returns tar", {}, () => {
  const folder = temporaryFolder();
  let key: KeyFiles;

  beforeAll(async () => {
    key = await writeKeys(folder, "P-256");
  });

  const encrypt = (bytes: Uint8Array, mediaType: string) =>
    encryptFor([`jwe:${key.publicPath("spki.pem")}`], bytes, mediaType);

  function run({ ciphertext, descriptor }: Encrypted, ...args: string[]) {
    return decode(ours, {
      layer: ciphertext,
      payload: payload(descriptor),
      mediaType: descriptor.mediaType,
      args: ["--decryption-keys-path", dirname(key.privatePath("pkcs8.pem")), "--returns", "tar", ...args],
      env: { TMPDIR: folder },
    });
  }

  const PLAIN = plainBytes(400_000);
  const gzip = (bytes: Uint8Array) => gzipSync(bytes);
  const zstd = (bytes: Uint8Array) => zstdCompressSync(bytes);
  const none = (bytes: Uint8Array) => bytes;

  test.each([
    [`${OCI}+gzip+encrypted`, gzip],
    [`${OCI}+zstd+encrypted`, zstd],
    [`${OCI}+encrypted`, none],
    [`${DOCKER}.gzip+encrypted`, gzip],
    [`${DOCKER}+encrypted`, none],
    // As in containerd, the data decide, not the media type.
    [`${OCI}+gzip+encrypted`, zstd],
    [`${OCI}+zstd+encrypted`, gzip],
    // A tar archive may contain any bytes.
    [`${OCI}+encrypted`, gzip],
  ])("%s", async (mediaType, compress) => {
    const layer = await encrypt(compress(PLAIN), mediaType);
    const { exit, stdout, stderr } = await run(layer);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    expect(stdout.equals(mediaType === `${OCI}+encrypted` ? Buffer.from(compress(PLAIN)) : PLAIN)).toBe(true);
  });

  test("a layer that goes through a temporary file", async () => {
    const plain = plainBytes(30_000_000);
    const { exit, stdout } = await run(
      await encrypt(gzipSync(plain, { level: 1 }), `${OCI}+gzip+encrypted`),
      "--spool-memory=1M",
    );
    expect(exit).toBe(0);
    expect(stdout.equals(plain)).toBe(true);
  });

  test("nothing is decompressed before it is authentic", async () => {
    const { ciphertext, descriptor } = await encrypt(gzipSync(PLAIN), `${OCI}+gzip+encrypted`);
    for (const args of [[], ["--spool-memory=4K"]]) {
      const forged = { ciphertext: flipBit(ciphertext, ciphertext.length - 1), descriptor };
      const { exit, stdout, stderr } = await run(forged, ...args);
      expect({ exit, out: stdout.length }).toEqual({ exit: 1, out: 0 });
      expect(stderr).toMatch(/not authentic/);
    }
  });

  test("a layer that was damaged before it was encrypted is refused, its end withheld", async () => {
    const { exit, stdout, stderr } = await run(
      await encrypt(gzipSync(PLAIN).subarray(0, -4), `${OCI}+gzip+encrypted`),
    );
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^ctd-decoder: error: .*damaged or ends too early\nctd-decoder: hint: .*\n$/);
    expect(stdout.length).toBeLessThanOrEqual(PLAIN.length - 65_536);
  });

  test("a bomb is refused", async () => {
    const bomb = await encrypt(gzipSync(Buffer.alloc(30_000_000)), `${OCI}+gzip+encrypted`);
    for (const limit of ["100", "1M", "20MiB"]) {
      const { exit, stdout, stderr } = await run(bomb, "--max-expansion", limit);
      expect(exit).toBe(1);
      expect(stderr).toMatch(/decompresses to more than \d+ bytes/);
      expect(stdout.length).toBeLessThan(20 * 1024 ** 2);
    }
    for (const args of [["--max-expansion=1200"], ["--max-expansion=30M"], []]) {
      expect((await run(bomb, ...args)).stdout).toHaveLength(30_000_000);
    }
  });

  test("what could not be verified first is not decompressed at all", async () => {
    const { exit, stderr } = await run(
      await encrypt(gzipSync(PLAIN), `${OCI}+gzip+encrypted`),
      "--release=stream",
    );
    expect(exit).toBe(1);
    expect(stderr).toMatch(/--returns tar needs --release verified/);
  });
});
