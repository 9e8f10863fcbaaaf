import {
  cpSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { command, ONE_ERROR, succeed } from "../support/cli.ts";
import { tar, writeImage } from "../support/images.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { newSigner } from "../support/trust.ts";

/** An image's signatures go to nodes without a registry in a folder. */
describeWith([ours], "trust fetch", {}, () => {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  const [signed, plain, store] = [at("signed"), at("plain"), at("store")];
  const check = (key: string, ...more: readonly string[]) =>
    command(["trust", "check", "-q", "--key", key, ...more, `oci:${plain}:v1`]);

  beforeAll(async () => {
    const { privateKey, publicKey } = newSigner();
    writeFileSync(at("key.pem"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    writeFileSync(at("key.pub"), publicKey);
    writeFileSync(at("other.pub"), newSigner().publicKey);
    writeImage(plain, "v1", [{ tar: await tar({ hello: Buffer.from("hello") }), compression: "gzip" }]);
    cpSync(plain, signed, { recursive: true });
    const identity = ["--sign-container-identity", "registry.example.test/app:1.0"];
    await succeed(["sign", "--key", at("key.pem"), ...identity, `oci:${signed}:v1`]);
  });

  test("both forms count from the folder, each by itself", async () => {
    const { files } = JSON.parse(await succeed(["trust", "fetch", "--json", `oci:${signed}:v1`, store]));
    expect(files.map((path: string) => path.replace(/^.*?\./, "")).sort()).toEqual([
      "sig.json",
      "sigstore.json",
    ]);
    expect((await check(at("key.pub"))).exit).toBe(1);
    for (const left of [[...files], [files[0]], [files[1]]]) {
      const some = at(`some-${left.length}-${left[0]?.length}`);
      cpSync(store, some, { recursive: true });
      for (const path of files.filter((it: string) => !left.includes(it))) rmSync(path.replace(store, some));
      expect((await check(at("key.pub"), "--signature-store", some)).exit).toBe(0);
      expect((await check(at("other.pub"), "--signature-store", some)).exit).toBe(1);
    }
  });

  test("a file is replaced whole, and a link is not followed", async () => {
    const { files } = JSON.parse(await succeed(["trust", "fetch", "--json", `oci:${signed}:v1`, store]));
    const [path = ""] = files;
    const content = readFileSync(path);
    writeFileSync(at("victim"), "precious");
    rmSync(path);
    symlinkSync(at("victim"), path);
    await succeed(["trust", "fetch", `oci:${signed}:v1`, store]);
    expect(readFileSync(at("victim"), "utf8")).toBe("precious");
    expect([lstatSync(path).isFile(), readFileSync(path)]).toEqual([true, content]);
    expect(readdirSync(join(path, ".."))).toHaveLength(files.length);
  });

  test("an image whose signatures can't be read is an error that says why", async () => {
    const damaged = at("damaged");
    cpSync(signed, damaged, { recursive: true });
    const blobs = join(damaged, "blobs/sha256");
    for (const name of readdirSync(blobs))
      if (/^\{"(?:critical|mediaType":"[^"]*bundle)/.test(readFileSync(join(blobs, name), "utf8")))
        rmSync(join(blobs, name));
    const { exit, stderr } = await command(["trust", "fetch", `oci:${damaged}:v1`, at("unread")]);
    expect([exit, existsSync(at("unread"))]).toEqual([1, false]);
    expect(stderr).toMatch(
      /has no signature and no attestation that can be kept: sha256-[0-9a-f]{64}\.sig layer 0: .*is missing/,
    );
  });

  test("an image without signatures is an error, and so is a folder that can't be written", async () => {
    const none = await command(["trust", "fetch", `oci:${plain}:v1`, at("none")]);
    expect(none).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/has no signature and no attestation/),
    });
    const taken = await command(["trust", "fetch", `oci:${signed}:v1`, at("key.pub")]);
    expect(taken).toMatchObject({ exit: 1, stderr: expect.stringMatching(ONE_ERROR) });
    expect(taken.stderr).toMatch(/error: can't write .*: a parent is not a directory\n$/);
  });
});
