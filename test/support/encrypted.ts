import { LayerEncryptor } from "../../src/cipher/encrypt.ts";
import { encodeBase64 } from "../../src/encoding/base64.ts";
import { LayerWrapper } from "../../src/keywrap/wrap.ts";
import { PUBLIC_OPTIONS } from "../../src/spec/annotations.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { sha256 } from "./images.ts";

/** One layer as `encrypt` makes it. */
export interface Encrypted {
  readonly ciphertext: Buffer;
  readonly descriptor: Descriptor;
}

const SETTINGS = { environment: {}, providerTimeoutMs: 10_000, providerLegacyDc: false, verbose: false };

/** Encrypts a layer for recipients ("jwe:FILE"). */
export async function encryptFor(
  recipients: readonly string[],
  plaintext: Uint8Array,
  mediaType = "application/vnd.oci.image.layer.v1.tar+encrypted",
): Promise<Encrypted> {
  const encryptor = new LayerEncryptor();
  const ciphertext = Buffer.from(encryptor.update(plaintext));
  const { privateOptions, publicOptions } = encryptor.finish();
  const wrapper = await LayerWrapper.prepare(recipients, SETTINGS);
  const annotations = {
    ...(await wrapper.wrap(privateOptions)),
    [PUBLIC_OPTIONS]: encodeBase64(publicOptions),
  };
  const descriptor = { mediaType, digest: sha256(ciphertext), size: ciphertext.length, annotations };
  return { ciphertext, descriptor };
}
