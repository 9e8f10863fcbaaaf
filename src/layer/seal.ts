import { type EncryptedOptions, LayerEncryptor } from "../cipher/encrypt.ts";
import { encodeBase64 } from "../encoding/base64.ts";
import { DecoderError } from "../errors.ts";
import type { LayerWrapper } from "../keywrap/wrap.ts";
import { PUBLIC_OPTIONS } from "../spec/annotations.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { encryptedType, parseLayerType } from "../spec/media-types.ts";

interface SealedLayer {
  readonly ciphertext: Uint8Array;
  readonly descriptor: Descriptor;
}

/**
 * Wraps an encrypted layer's key for the recipients, and zeroes the private options.
 * @returns the annotations of the layer's descriptor
 * @throws what wrapping throws
 */
export async function sealOptions(
  { privateOptions, publicOptions }: EncryptedOptions,
  wrapper: LayerWrapper,
): Promise<Record<string, string>> {
  try {
    return {
      ...(await wrapper.wrap(privateOptions)),
      [PUBLIC_OPTIONS]: encodeBase64(publicOptions),
    };
  } finally {
    privateOptions.fill(0);
  }
}

/**
 * Encrypts a small layer in memory.
 * @param mediaType of the plain layer
 * @throws DecoderError BAD_MEDIA_TYPE, and what wrapping throws
 */
export async function sealLayer(
  plaintext: Uint8Array,
  mediaType: string,
  wrapper: LayerWrapper,
): Promise<SealedLayer> {
  const type = parseLayerType(mediaType);
  if (type === undefined || type.encrypted)
    throw new DecoderError("BAD_MEDIA_TYPE", `${JSON.stringify(mediaType)} is not the type of a plain layer`);
  const encryptor = new LayerEncryptor({ size: plaintext.length });
  try {
    const ciphertext = encryptor.update(plaintext);
    const encrypted = encryptor.finish();
    const annotations = await sealOptions(encrypted, wrapper);
    const descriptor = {
      mediaType: encryptedType(type),
      digest: encrypted.digest,
      size: ciphertext.length,
      annotations,
    };
    return { ciphertext, descriptor };
  } finally {
    encryptor.close();
  }
}
