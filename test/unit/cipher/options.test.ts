import { describe, expect, test } from "vitest";
import { parseLayerOptions, parsePublicOptions } from "../../../src/cipher/options.ts";
import { PUBLIC_OPTIONS } from "../../../src/spec/annotations.ts";

const b64 = (length: number, fill = 1) => Buffer.alloc(length, fill).toString("base64");
const bytes = (length: number, fill = 1) => new Uint8Array(length).fill(fill);
const failing = (code: string) => expect.objectContaining({ code });

const PUBLIC = { cipher: "AES_256_CTR_HMAC_SHA256", hmac: b64(32), cipheroptions: {} };
const PRIVATE = { symkey: b64(32, 2), digest: "sha256:00", cipheroptions: { nonce: b64(16, 3) } };

const annotation = (json: unknown) =>
  Buffer.from(typeof json === "string" ? json : JSON.stringify(json)).toString("base64");
const publicOptions = (json: unknown) => parsePublicOptions({ [PUBLIC_OPTIONS]: annotation(json) });
const unwrapped = (json: unknown) =>
  new TextEncoder().encode(typeof json === "string" ? json : JSON.stringify(json));
const layerOptions = (open: unknown, wrapped: unknown) =>
  parseLayerOptions(publicOptions(open), unwrapped(wrapped));

describe("public options", () => {
  test("hmac, and mostly no nonce", () => {
    expect(publicOptions(PUBLIC)).toEqual({ hmac: bytes(32), nonce: null });
    expect(publicOptions({ ...PUBLIC, cipheroptions: null }).nonce).toBeNull();
    expect(publicOptions({ ...PUBLIC, cipheroptions: { nonce: null } }).nonce).toBeNull();
    expect(publicOptions({ ...PUBLIC, cipheroptions: { nonce: b64(16, 3) } }).nonce).toEqual(bytes(16, 3));
  });

  test("the fields' names come in any case, a nonce's does not: it is a map's", () => {
    const { hmac, nonce } = publicOptions({
      CIPHER: PUBLIC.cipher,
      Hmac: PUBLIC.hmac,
      cipherOptions: { Nonce: b64(16) },
    });
    expect(hmac).toEqual(bytes(32));
    expect(nonce).toBeNull();
  });

  test.each([
    ["no annotation", {}],
    ["no base64", { [PUBLIC_OPTIONS]: "{}" }],
    ["no JSON", { [PUBLIC_OPTIONS]: annotation("x") }],
    ["a list", { [PUBLIC_OPTIONS]: annotation([]) }],
    ["too long", { [PUBLIC_OPTIONS]: annotation({ ...PUBLIC, x: "x".repeat(65_536) }) }],
  ])("%s", (_what, annotations) =>
    expect(() => parsePublicOptions(annotations)).toThrow(failing("BAD_ANNOTATION")),
  );

  test.each([
    ["no cipher", { ...PUBLIC, cipher: undefined }],
    ["another cipher", { ...PUBLIC, cipher: "AES_256_CTR" }],
    ["a cipher in another case", { ...PUBLIC, cipher: "aes_256_ctr_hmac_sha256" }],
    ["a cipher among others", { ...PUBLIC, cipher: [PUBLIC.cipher] }],
    ["no hmac", { ...PUBLIC, hmac: undefined }],
    ["an empty hmac", { ...PUBLIC, hmac: "" }],
    ["a short hmac", { ...PUBLIC, hmac: b64(31) }],
    ["a long hmac", { ...PUBLIC, hmac: b64(33) }],
    ["an hmac that is no base64", { ...PUBLIC, hmac: "?" }],
    ["an hmac that is no text", { ...PUBLIC, hmac: [1] }],
    ["a nonce of 12 bytes", { ...PUBLIC, cipheroptions: { nonce: b64(12) } }],
    ["an empty nonce", { ...PUBLIC, cipheroptions: { nonce: "" } }],
    ["a nonce that is no base64", { ...PUBLIC, cipheroptions: { nonce: "?" } }],
    ["cipher options that are text", { ...PUBLIC, cipheroptions: "x" }],
  ])("%s", (_what, json) => expect(() => publicOptions(json)).toThrow(failing("BAD_OPTIONS")));
});

test("options as long as they may be", () => {
  const padded = (json: object, length: number) => JSON.stringify(json).padEnd(length);
  const longest = padded(PUBLIC, (65_536 / 4) * 3);
  expect(annotation(longest)).toHaveLength(65_536);
  expect(layerOptions(longest, padded(PRIVATE, 65_536)).nonce).toEqual(bytes(16, 3));
  expect(() => layerOptions(PUBLIC, padded(PRIVATE, 65_537))).toThrow(failing("BAD_OPTIONS"));
});

describe("layer options", () => {
  test("key and nonce of the wrapped, hmac of the public ones", () => {
    const options = layerOptions(PUBLIC, PRIVATE);
    expect(options).toMatchObject({ nonce: bytes(16, 3), hmac: bytes(32), digest: "sha256:00" });
    expect(options.key.bytes).toEqual(bytes(32, 2));
  });

  test("a nonce only in the public ones serves; the same in both does too", () => {
    const open = { ...PUBLIC, cipheroptions: { nonce: b64(16, 3) } };
    expect(layerOptions(open, { ...PRIVATE, cipheroptions: {} }).nonce).toEqual(bytes(16, 3));
    expect(layerOptions(open, PRIVATE).nonce).toEqual(bytes(16, 3));
  });

  test("a digest that is absent or empty is undefined", () => {
    for (const digest of [undefined, "", 5]) {
      expect(layerOptions(PUBLIC, { ...PRIVATE, digest }).digest).toBeUndefined();
    }
  });

  test.each([
    ["no JSON", "hunter2"],
    ["a list", []],
    ["too long", { ...PRIVATE, x: "x".repeat(65_536) }],
    ["no symkey", { ...PRIVATE, symkey: undefined }],
    ["a null symkey", { ...PRIVATE, symkey: null }],
    ["a short symkey", { ...PRIVATE, symkey: b64(16) }],
    ["a long symkey", { ...PRIVATE, symkey: b64(64) }],
    ["a symkey that is no base64", { ...PRIVATE, symkey: "hunter2" }],
    ["no nonce", { ...PRIVATE, cipheroptions: {} }],
    ["a short nonce", { ...PRIVATE, cipheroptions: { nonce: b64(15) } }],
    ["a long nonce", { ...PRIVATE, cipheroptions: { nonce: b64(17) } }],
  ])("%s is refused, and not quoted", (_what, json) => {
    expect(() => layerOptions(PUBLIC, json)).toThrow(failing("BAD_OPTIONS"));
    expect(() => layerOptions(PUBLIC, json)).not.toThrow(/hunter2/);
  });

  test("a wrapped nonce that is no base64 is refused, although the public one is right", () => {
    const open = { ...PUBLIC, cipheroptions: { nonce: b64(16, 3) } };
    const wrapped = { ...PRIVATE, cipheroptions: { nonce: "?" } };
    expect(() => layerOptions(open, wrapped)).toThrow(failing("BAD_OPTIONS"));
  });

  test("a public nonce that differs from the wrapped one is refused", () => {
    const open = { ...PUBLIC, cipheroptions: { nonce: b64(16, 4) } };
    expect(() => layerOptions(open, PRIVATE)).toThrow(failing("BAD_OPTIONS"));
  });
});
