import { LayerWrapper } from "../../src/keywrap/wrap.ts";
import { sealLayer } from "../../src/layer/seal.ts";
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
