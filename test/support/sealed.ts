import { createHmac, type KeyObject } from "node:crypto";
import { expect } from "vitest";
import { PUBLIC_OPTIONS } from "../../src/spec/annotations.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { sha256 } from "./images.ts";
import { flattenedJwe } from "./jwe.ts";
import { type EncryptedLayer, encryptLayer } from "./layer.ts";
import type { Finished } from "./peers.ts";

/** A layer and its descriptor, made by node:crypto alone: every part can be changed. */
export interface Sealed extends EncryptedLayer {
  readonly descriptor: Descriptor & { readonly annotations: Readonly<Record<string, string>> };
}

export interface SealOptions {
  readonly mediaType?: string;
  /** Added to the JWE's protected header: kid. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Replaces members of the public and the private options. */
  readonly publicOptions?: object;
  readonly privateOptions?: object;
}

export const JWE = "org.opencontainers.image.enc.keys.jwe";

const base64 = (value: Uint8Array | string) => Buffer.from(value as string).toString("base64");

/** Encrypts for one RSA or EC public key. */
export function seal(plaintext: Uint8Array, key: KeyObject, options: SealOptions = {}): Sealed {
  const layer = encryptLayer(plaintext);
  const privateOptions = {
    symkey: base64(layer.key),
    digest: sha256(plaintext),
    cipheroptions: { nonce: base64(layer.nonce) },
    ...options.privateOptions,
  };
  const publicOptions = {
    cipher: "AES_256_CTR_HMAC_SHA256",
    hmac: base64(layer.hmac),
    cipheroptions: {},
    ...options.publicOptions,
  };
  const alg = key.asymmetricKeyType === "rsa" ? "RSA-OAEP" : "ECDH-ES+A256KW";
  const spec = { key, alg, ...(options.header ? { header: options.header } : {}) };
  const annotations = {
    [JWE]: base64(flattenedJwe(spec, Buffer.from(JSON.stringify(privateOptions)))),
    [PUBLIC_OPTIONS]: base64(JSON.stringify(publicOptions)),
  };
  const mediaType = options.mediaType ?? "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
  const { ciphertext } = layer;
  return {
    ...layer,
    descriptor: { mediaType, digest: sha256(ciphertext), size: ciphertext.length, annotations },
  };
}

/** What no output may hold: the layer's key, and the MAC that would make `ciphertext` authentic, in any notation. */
export function secretsOf({ key }: EncryptedLayer, ciphertext: Uint8Array): string[] {
  const mac = createHmac("sha256", key).update(ciphertext).digest();
  return [key, mac].flatMap((bytes) => [
    bytes.toString("base64").replace(/=+$/, ""),
    bytes.toString("base64url"),
    bytes.toString("hex"),
    [...bytes].join(","),
  ]);
}

/** Exit 1, nothing on stdout, one message line and at most one hint line, and none of the secrets. */
export function expectRefusal(result: Finished, message: RegExp, secrets: readonly string[] = []): void {
  expect({ exit: result.exit, signal: result.signal }).toEqual({ exit: 1, signal: null });
  expect(result.stdout.length).toBe(0);
  expectMessage(result.stderr, message, secrets);
}

/** One message line that matches, at most one hint line, no stack trace, and none of the secrets. */
export function expectMessage(stderr: string, message: RegExp, secrets: readonly string[] = []): void {
  expect(stderr).toMatch(/^ctd-decoder: error: [^\n]+\n(ctd-decoder: hint: [^\n]+\n)?$/);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/internal error|\bat .*[(/].*:\d+|\n\s+at /);
  for (const secret of secrets) expect(stderr.toLowerCase()).not.toContain(secret.toLowerCase());
}
