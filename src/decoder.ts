import { parseLayerOptions, parsePublicOptions } from "./cipher/options.ts";
import { releaseLayer } from "./cipher/release.ts";
import { DecoderError } from "./errors.ts";
import type { Input } from "./io/input.ts";
import type { Output } from "./io/output.ts";
import { loadKeys } from "./keys/load.ts";
import type { SchemeSettings } from "./keywrap/scheme.ts";
import { unwrapLayer } from "./keywrap/unwrap.ts";
import type { DecoderOptions } from "./options.ts";
import { readPayloadBytes } from "./payload/channel.ts";
import { type LayerDescriptor, parsePayload } from "./payload/payload.ts";
import { parseLayerType } from "./spec/media-types.ts";

/** One decoder call: what containerd hands over → keys → the layer's key → verified plaintext. */
export async function decode(
  options: DecoderOptions,
  environment: SchemeSettings["environment"],
  input: Input,
  output: Output,
): Promise<void> {
  const payloadBytes = readPayloadBytes();
  if (payloadBytes === null) throw noPayload();
  const { descriptor, parameters } = parsePayload(payloadBytes);
  requireEncrypted(descriptor);
  const publicOptions = parsePublicOptions(descriptor.annotations);

  const keys = await loadKeys(options, parameters);
  const opened = await unwrapLayer(descriptor.annotations, keys, { ...options, environment });
  const layer = parseLayerOptions(publicOptions, opened.options);

  const expected = { size: descriptor.size, digest: options.verifyDigest ? descriptor.digest : undefined };
  await releaseLayer(input, output, layer, expected, options);
  layer.key.destroy();
}

function requireEncrypted({ mediaType }: LayerDescriptor): void {
  if (parseLayerType(mediaType)?.encrypted) return;
  throw new DecoderError(
    "BAD_MEDIA_TYPE",
    `the media type ${JSON.stringify(mediaType.slice(0, 128))} is not that of an encrypted layer`,
    {
      hint: "the stream processor's accepts must list encrypted media types only, ending in +encrypted",
    },
  );
}

function noPayload(): DecoderError {
  return new DecoderError(
    "NO_PAYLOAD",
    "containerd passed no payload on file descriptor 3, so the layer's descriptor is unknown",
    {
      hint: "to decrypt a layer by hand, see: ctd-decoder layer --help",
    },
  );
}
