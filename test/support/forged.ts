import { layersOf, manifestOf, writeManifest } from "./images.ts";

/** Adds an image "v3" to a layout: the ciphertext of "v2" with the wrapped keys of "v1". */
export function forge(folder: string): void {
  const ciphertexts = layersOf(folder, "v2");
  const layers = layersOf(folder, "v1").map((layer, i) => ({
    ...ciphertexts[i],
    annotations: layer.annotations,
  }));
  writeManifest(folder, "v3", { ...manifestOf(folder, "v1"), layers: layers as never });
}
