import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { LayerEncryptor } from "../../../src/cipher/encrypt.ts";
import { digestOf } from "../../../src/io/digester.ts";
import { LayerWrapper } from "../../../src/keywrap/wrap.ts";
import { openLayer } from "../../../src/layer/open.ts";
import { sealLayer, sealOptions } from "../../../src/layer/seal.ts";
import { asymmetricKey, keySet } from "../../support/jwe.ts";
import { type KeyFiles, writeKeys } from "../../support/keys.ts";
import { release } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const PLAINTEXT = Buffer.from("a layer");
let key: KeyFiles;
let wrapper: LayerWrapper;

beforeAll(async () => {
  key = await writeKeys(folder, "P-256");
  wrapper = await LayerWrapper.prepare([`jwe:${key.publicPath("spki.pem")}`], SETTINGS);
});

test.each([
  ["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+encrypted"],
  [
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
  ],
])("a sealed %s opens again", async (plain, encrypted) => {
  const { ciphertext, descriptor } = await sealLayer(PLAINTEXT, plain, wrapper);
  expect(descriptor).toMatchObject({
    mediaType: encrypted,
    digest: digestOf(ciphertext),
    size: PLAINTEXT.length,
  });
  const layer = await openLayer(descriptor, keySet(asymmetricKey(key.privateKey)), SETTINGS);
  const released = await release(folder, { ciphertext, options: layer.options });
  expect(released).toMatchObject({ code: undefined, written: PLAINTEXT });
});

test.each(["application/vnd.oci.image.layer.v1.tar+encrypted", "application/octet-stream"])(
  "a %s is not sealed",
  async (mediaType) => {
    await expect(sealLayer(PLAINTEXT, mediaType, wrapper)).rejects.toThrow(
      expect.objectContaining({ code: "BAD_MEDIA_TYPE" }),
    );
  },
);

describe("the private options are zeroed", () => {
  const encrypted = () => {
    const encryptor = new LayerEncryptor();
    encryptor.update(PLAINTEXT);
    return encryptor.finish();
  };

  test("once they are wrapped", async () => {
    const options = encrypted();
    await sealOptions(options, wrapper);
    expect(options.privateOptions.every((byte) => byte === 0)).toBe(true);
  });

  test("when they can't be wrapped", async () => {
    const missing = {
      ...SETTINGS,
      environment: { OCICRYPT_KEYPROVIDER_CONFIG: join(folder, "providers.json") },
    };
    const options = encrypted();
    const { writeFileSync } = await import("node:fs");
    const command = { path: join(folder, "no-such-command"), args: [] };
    writeFileSync(
      join(folder, "providers.json"),
      JSON.stringify({ "key-providers": { kms: { cmd: command } } }),
    );
    const failing = await LayerWrapper.prepare(["provider:kms"], missing);
    await expect(sealOptions(options, failing)).rejects.toThrow(/kms/);
    expect(options.privateOptions.every((byte) => byte === 0)).toBe(true);
  });
});
