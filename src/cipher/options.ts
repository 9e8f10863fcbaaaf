import { decodeBase64 } from "../encoding/base64.ts";
import { equalConstantTime } from "../encoding/bytes.ts";
import { goField, isObject, type JsonObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { Secret } from "../secret.ts";
import { PUBLIC_OPTIONS } from "../spec/annotations.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** ocicrypt's only layer cipher: AES-256-CTR, and HMAC-SHA256 with the same key over the ciphertext. */
export const LAYER_CIPHER = "AES_256_CTR_HMAC_SHA256";
export const KEY_BYTES = 32;
export const NONCE_BYTES = 16;
const HMAC_BYTES = 32;

/** What anybody may read of a layer's encryption. */
interface PublicOptions {
  readonly hmac: Bytes;
  readonly nonce: Bytes | null;
}

/** All that is needed to verify and decrypt a layer. */
export interface LayerOptions {
  readonly key: Secret;
  readonly nonce: Bytes;
  readonly hmac: Bytes;
  /** Digest of the encrypting tool's input, which may be the uncompressed layer. It is reported, not enforced. */
  readonly digest: string | undefined;
}

/** @throws DecoderError BAD_ANNOTATION or BAD_OPTIONS */
export function parsePublicOptions(annotations: Readonly<Record<string, string>>): PublicOptions {
  const annotation = annotations[PUBLIC_OPTIONS];
  if (annotation === undefined) {
    throw new DecoderError(
      "BAD_ANNOTATION",
      `the layer has no annotation ${PUBLIC_OPTIONS}, so it can't be authenticated`,
    );
  }
  const bytes = annotation.length > LIMITS.publicOptionsBytes ? null : decodeBase64(annotation);
  const options = bytes && parseJsonObject(bytes);
  if (options === null)
    throw new DecoderError(
      "BAD_ANNOTATION",
      `the annotation ${PUBLIC_OPTIONS} is not base64 of a JSON object`,
    );
  if (goField(options, "cipher") !== LAYER_CIPHER) {
    throw new DecoderError(
      "BAD_OPTIONS",
      `the layer's cipher is not ${LAYER_CIPHER}, the only supported one`,
    );
  }
  const hmac = bytesField(options, "hmac", "the public options'");
  if (hmac?.length !== HMAC_BYTES) throw wrongLength("the public options' hmac", hmac, HMAC_BYTES);
  return { hmac, nonce: nonceOf(options, "the public options'") };
}

/**
 * Joins the public options with the private ones, which stay the caller's to destroy. The key is a copy.
 * @throws DecoderError BAD_OPTIONS
 */
export function parseLayerOptions(publicOptions: PublicOptions, privateOptions: Uint8Array): LayerOptions {
  const options = privateOptions.length > LIMITS.privateOptionsBytes ? null : parseJsonObject(privateOptions);
  if (options === null)
    throw new DecoderError("BAD_OPTIONS", "the unwrapped layer options are not a JSON object");
  const nonce = agreedNonce(publicOptions.nonce, nonceOf(options, "the wrapped"));
  const key = bytesField(options, "symkey", "the wrapped");
  if (key?.length !== KEY_BYTES) {
    key?.fill(0);
    throw wrongLength("the wrapped symkey", key, KEY_BYTES);
  }
  const digest = goField(options, "digest");
  return {
    key: new Secret(key),
    nonce,
    hmac: publicOptions.hmac,
    digest: typeof digest === "string" && digest !== "" ? digest : undefined,
  };
}

/**
 * The HMAC does not cover the nonce: a public one that overrides the wrapped one, as Go allows, lets anyone garble the
 * first block of a layer at will and still have it pass as authentic.
 */
function agreedNonce(open: Bytes | null, wrapped: Bytes | null): Bytes {
  const nonce = wrapped ?? open;
  if (nonce === null)
    throw new DecoderError("BAD_OPTIONS", "the layer has no nonce, neither wrapped nor public");
  if (open !== null && !equalConstantTime(open, nonce)) {
    throw new DecoderError(
      "BAD_OPTIONS",
      "the public nonce differs from the wrapped one: the annotations were changed",
    );
  }
  return nonce;
}

function nonceOf(options: JsonObject, whose: string): Bytes | null {
  const cipherOptions = goField(options, "cipheroptions");
  if (cipherOptions === undefined || cipherOptions === null) return null;
  if (!isObject(cipherOptions))
    throw new DecoderError("BAD_OPTIONS", `${whose} cipheroptions are not a JSON object`);
  // Go reads this object as a map, not a struct, so names are case-sensitive.
  const nonce = bytesField({ nonce: cipherOptions["nonce"] }, "nonce", whose);
  if (nonce !== null && nonce.length !== NONCE_BYTES) throw wrongLength(`${whose} nonce`, nonce, NONCE_BYTES);
  return nonce;
}

function bytesField(options: JsonObject, name: string, whose: string): Bytes | null {
  const value = goField(options, name);
  if (value === undefined || value === null) return null;
  const bytes = typeof value === "string" ? decodeBase64(value) : null;
  if (bytes === null) throw new DecoderError("BAD_OPTIONS", `${whose} ${name} is not base64`);
  return bytes;
}

function wrongLength(what: string, bytes: Bytes | null, wanted: number): DecoderError {
  const found = bytes === null ? "is missing" : `has ${bytes.length} bytes, not ${wanted}`;
  return new DecoderError("BAD_OPTIONS", `${what} ${found}`);
}
