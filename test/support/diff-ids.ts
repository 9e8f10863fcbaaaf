import { decode } from "./decoder.ts";
import { diffId, layersOf, readBlob } from "./images.ts";
import { payload } from "./payload.ts";
import type { Peer } from "./peers.ts";

/** The diff ID of each layer of a layout's image, as it stands there. */
export function diffIds(layout: string, tag: string): string[] {
  return layersOf(layout, tag).map((layer) => diffId(readBlob(layout, layer)));
}

/** The diff ID of each layer of an encrypted layout, opened by a decoder with a folder of keys; else the message. */
export async function decodedDiffIds(
  decoder: Peer,
  layout: string,
  tag: string,
  keys: string,
): Promise<string[]> {
  const digests: string[] = [];
  for (const layer of layersOf(layout, tag)) {
    const { exit, stdout, stderr } = await decode(decoder, {
      layer: readBlob(layout, layer),
      payload: payload(layer),
      mediaType: layer.mediaType,
      args: ["--decryption-keys-path", keys],
    });
    digests.push(exit === 0 ? diffId(stdout) : stderr);
  }
  return digests;
}
