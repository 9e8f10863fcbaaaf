import { createHmac, randomBytes } from "node:crypto";
import { LayerWrapper } from "../../src/keywrap/wrap.ts";
import { sealLayer, sealOptions } from "../../src/layer/seal.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";

/** One layer as `encrypt` makes it. */
export interface Encrypted {
  readonly ciphertext: Buffer;
  readonly descriptor: Descriptor;
}

const PLAIN_TYPE = "application/vnd.oci.image.layer.v1.tar";
const SETTINGS = { environment: {}, providerTimeoutMs: 10_000, providerLegacyDc: false, verbose: false };

/** Encrypts a layer for recipients ("jwe:FILE"). */
export async function encryptFor(
  recipients: readonly string[],
  plaintext: Uint8Array,
  mediaType = `${PLAIN_TYPE}+encrypted`,
): Promise<Encrypted> {
  const wrapper = await LayerWrapper.prepare(recipients, SETTINGS);
  const { ciphertext, descriptor } = await sealLayer(plaintext, PLAIN_TYPE, wrapper);
  return { ciphertext: Buffer.from(ciphertext), descriptor: { ...descriptor, mediaType } };
}

/**
 * What a stranger can do to a public ciphertext: choose a key, wrap it for the same recipient, and compute the HMAC under it.
 * The result is authentic under that key, and decrypts to garbage.
 */
export async function claim({ ciphertext, descriptor }: Encrypted, recipient: string): Promise<Encrypted> {
  const symkey = randomBytes(32);
  const hmac = createHmac("sha256", symkey).update(ciphertext).digest("base64");
  const nonce = randomBytes(16).toString("base64");
  const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  const wrapper = await LayerWrapper.prepare([recipient], SETTINGS);
  const annotations = await sealOptions(
    {
      privateOptions: json({ symkey: symkey.toString("base64"), cipheroptions: { nonce } }),
      publicOptions: json({ cipher: "AES_256_CTR_HMAC_SHA256", hmac, cipheroptions: {} }),
      digest: descriptor.digest,
    },
    wrapper,
  );
  return { ciphertext, descriptor: { ...descriptor, annotations } };
}
