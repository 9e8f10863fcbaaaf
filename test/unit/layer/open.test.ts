import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { openLayer } from "../../../src/layer/open.ts";
import { KEYS_PREFIX, PUBLIC_OPTIONS } from "../../../src/spec/annotations.ts";
import { asymmetricKey, flattenedJwe, keySet } from "../../support/jwe.ts";
import { rsaPair } from "../../support/rsa.ts";
import { watchSecrets } from "../../support/secrets.ts";

const TYPE = "application/vnd.oci.image.layer.v1.tar+encrypted";
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const RSA = rsaPair(2048);
const KEY = asymmetricKey(RSA.privateKey);

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const SYMKEY = Buffer.alloc(32, 7);
const PRIVATE = { symkey: base64(SYMKEY), cipheroptions: { nonce: base64(Buffer.alloc(16, 9)) } };
const HMAC = createHmac("sha256", SYMKEY).digest();

function annotations(privateOptions: unknown = PRIVATE): Record<string, string> {
  const packet = flattenedJwe(
    { alg: "RSA-OAEP", key: RSA.publicKey },
    Buffer.from(JSON.stringify(privateOptions)),
  );
  const open = { cipher: "AES_256_CTR_HMAC_SHA256", hmac: base64(HMAC), cipheroptions: {} };
  return {
    [`${KEYS_PREFIX}jwe`]: base64(packet),
    [PUBLIC_OPTIONS]: base64(Buffer.from(JSON.stringify(open))),
  };
}

const open = (mediaType: string, text?: Readonly<Record<string, string>>) =>
  openLayer({ mediaType, ...(text && { annotations: text }) }, keySet(KEY), SETTINGS);
const failing = (code: string) => expect.objectContaining({ code });

test("an opened layer has its options, its private options as they were, and who opened it", async () => {
  const layer = await open(TYPE, annotations());
  expect(Buffer.from(layer.options.key.bytes)).toEqual(SYMKEY);
  expect(Buffer.from(layer.options.hmac)).toEqual(HMAC);
  expect(JSON.parse(Buffer.from(layer.privateOptions.bytes).toString())).toEqual(PRIVATE);
  expect(layer.by).toEqual({ scheme: "jwe", packet: 0, recipient: expect.any(String), key: KEY });
});

test("closing it zeroes both of its secrets", async () => {
  const layer = await open(TYPE, annotations());
  const secrets = [layer.options.key.bytes, layer.privateOptions.bytes];
  layer.close();
  for (const secret of secrets) expect(secret.every((byte) => byte === 0)).toBe(true);
  expect(() => layer.options.key.bytes).toThrow(/destroyed/);
});

test.each([
  ["no JSON object", []],
  ["a short key", { ...PRIVATE, symkey: base64(Buffer.alloc(31, 7)) }],
  ["no nonce", { symkey: PRIVATE.symkey }],
  ["a short nonce", { ...PRIVATE, cipheroptions: { nonce: base64(Buffer.alloc(15, 9)) } }],
])("private options with %s are refused, and zeroed", async (_what, options) => {
  const secrets = watchSecrets();
  await expect(open(TYPE, annotations(options))).rejects.toThrow(failing("BAD_OPTIONS"));
  expect(secrets.left()).toEqual([KEY.pkcs8.bytes]);
});

describe("refused before any key is tried", () => {
  test.each([
    ["a plain layer", "application/vnd.oci.image.layer.v1.tar"],
    ["another encrypted document", "application/vnd.oci.image.config.v1+json+encrypted"],
    ["nothing", ""],
  ])("%s", async (_what, mediaType) => {
    const secrets = watchSecrets();
    await expect(open(mediaType, annotations())).rejects.toThrow(failing("BAD_MEDIA_TYPE"));
    expect(secrets.left()).toEqual([]);
  });

  test("a media type that is too long for the message is cut at 128 characters", async () => {
    const [shown, rest] = ["x".repeat(127), "yz"];
    await expect(open(`!${shown}${rest}`, annotations())).rejects.toThrow(
      expect.objectContaining({ message: `the media type "!${shown}" is not that of an encrypted layer` }),
    );
  });

  test("a layer without annotations", async () => {
    await expect(open(TYPE)).rejects.toThrow(failing("BAD_ANNOTATION"));
  });

  test("a layer without public options", async () => {
    const { [PUBLIC_OPTIONS]: _left, ...others } = annotations();
    const secrets = watchSecrets();
    await expect(open(TYPE, others)).rejects.toThrow(failing("BAD_ANNOTATION"));
    expect(secrets.left()).toEqual([]);
  });
});
