import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { manifestOf, readBlob, tar, writeBlob, writeImage, writeManifest } from "../support/images.ts";
import { writeKeys } from "../support/keys.ts";
import { describeWith, openssl, ours, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

describeWith([ours, openssl], "verify", {}, () => {
  const folder = temporaryFolder();

  test("a zstd layer that was cut before encryption is reported, even if the runtime does not notice", async () => {
    const key = await writeKeys(join(folder, "key"), "P-256");
    const layout = join(folder, "layout");
    writeImage(layout, "whole", [
      { tar: await tar({ file: Buffer.alloc(300_000, "some text ") }), compression: "zstd" },
    ]);
    const { config, layers } = manifestOf(layout, "whole");
    const cut = layers.map((layer) =>
      writeBlob(layout, layer.mediaType, readBlob(layout, layer).subarray(0, -20)),
    );
    writeManifest(layout, "cut", { config, layers: cut });
    for (const tag of ["whole", "cut"]) {
      const recipient = `jwe:${key.publicPath("spki.pem")}`;
      const places = [`oci:${layout}:${tag}`, `oci:${layout}:${tag}-enc`];
      const encrypted = await run(ours, ["encrypt", "--recipient", recipient, ...places]);
      expect(encrypted.exit, encrypted.stderr).toBe(0);
    }
    const verify = (tag: string) =>
      run(ours, ["verify", "--keys", dirname(key.privatePath("pkcs8.pem")), `oci:${layout}:${tag}`]);
    expect(await verify("whole-enc")).toMatchObject({ exit: 0 });
    const { exit, stdout } = await verify("cut-enc");
    expect([exit, stdout.toString()]).toEqual([1, expect.stringMatching(/not complete zstd data/)]);
  });
});
