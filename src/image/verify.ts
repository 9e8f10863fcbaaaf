import { DecoderError, type ErrorCode } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type OpenedLayer, openLayer } from "../layer/open.ts";
import { LIMITS } from "../limits.ts";
import { OCI_CONFIG, parseLayerType } from "../spec/media-types.ts";
import { locateChecked, readSmall } from "../transport/blob.ts";
import { readDiffIds } from "../transport/docker-archive.ts";
import type { ImageSource } from "../transport/source.ts";
import type { SourceReference } from "../transport/transport.ts";
import { encryptedLayers } from "./decrypt.ts";
import { LayerPool } from "./layer-pool.ts";
import { layerKey } from "./open-layer.ts";
import type { LayerReport, Progress } from "./progress.ts";
import { withImage } from "./rewrite.ts";
import { type ChosenLayer, chooseLayers, type Selection } from "./select.ts";
import { type ManifestNode, nameOf, readTree } from "./tree.ts";

export interface VerifyOptions {
  readonly source: SourceReference;
  readonly keys: KeySet;
  readonly settings: SchemeSettings;
  readonly selection: Selection;
  readonly progress: Progress;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

export interface VerifyResult {
  readonly layers: readonly LayerReport[];
  readonly failures: readonly VerifyFailure[];
  /** Of ciphertext, in bytes. */
  readonly bytes: number;
}

export interface VerifyFailure {
  readonly platform: string;
  readonly position: number;
  readonly digest: string;
  readonly code: ErrorCode;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

/**
 * Reads the chosen layers that are encrypted: HMAC, digest, and whether the plaintext is a complete tar archive with the
 * digest that the image's configuration tells. Writes nothing; what is wrong with a layer is told, not thrown.
 * @throws DecoderError NOT_FOUND when nothing is encrypted; what is wrong with the image's manifests
 */
export async function verifyImage(options: VerifyOptions): Promise<VerifyResult> {
  const { signal } = options;
  return await withImage(options.source, options.signal, async (source) => {
    const tree = await readTree(source);
    const layers = encryptedLayers(chooseLayers(tree, options.selection));
    const bytes = layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
    options.progress.begin({ layers: layers.length, bytes });
    const pool = new LayerPool(options.threads);
    const stop = () => void pool.close();
    signal?.addEventListener("abort", stop);
    try {
      const verifier = new Verifier(source, pool, options);
      const results = await Promise.all(layers.map((layer) => verifier.verify(layer)));
      if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted");
      return {
        layers: results.filter((result): result is LayerReport => !("code" in result)),
        failures: results.filter((result): result is VerifyFailure => "code" in result),
        bytes,
      };
    } finally {
      signal?.removeEventListener("abort", stop);
      await pool.close();
    }
  });
}

class Verifier {
  readonly #source: ImageSource;
  readonly #pool: LayerPool;
  readonly #options: VerifyOptions;
  readonly #diffIds = new Map<ManifestNode, Promise<readonly string[]>>();

  constructor(source: ImageSource, pool: LayerPool, options: VerifyOptions) {
    this.#source = source;
    this.#pool = pool;
    this.#options = options;
  }

  async verify(layer: ChosenLayer): Promise<LayerReport | VerifyFailure> {
    const { node, position, descriptor } = layer;
    const { digest, size, mediaType } = descriptor;
    const where = { platform: nameOf(node), position, digest };
    try {
      await this.#check(layer);
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      const { code, message, hint } = error;
      return { ...where, code, message, ...(hint !== undefined && { hint }) };
    }
    const report: LayerReport = {
      ...where,
      action: "verified",
      from: digest,
      size,
      mediaType,
      transfer: "none",
    };
    this.#options.progress.finish(report);
    return report;
  }

  async #check(layer: ChosenLayer): Promise<void> {
    const opened = await openLayer(layer.descriptor, this.#options.keys, this.#options.settings);
    try {
      await this.#checkWith(opened, layer);
    } finally {
      opened.close();
    }
  }

  async #checkWith(opened: OpenedLayer, { node, position, descriptor }: ChosenLayer): Promise<void> {
    const options = layerKey(opened);
    const location = await locateChecked(this.#source, descriptor);
    const compression = parseLayerType(descriptor.mediaType)?.compression ?? "none";
    const diffId = (await this.#diffIdsOf(node))[position];
    const input = {
      location,
      name: `layer ${position}`,
      descriptor: { digest: descriptor.digest, size: descriptor.size, mediaType: descriptor.mediaType },
    };
    const { progress } = this.#options;
    await this.#pool.run({ kind: "verify", ...input, options, compression, diffId }, (count) =>
      progress.read(count),
    );
  }

  /** Empty for what has no image configuration. */
  #diffIdsOf(node: ManifestNode): Promise<readonly string[]> {
    const known = this.#diffIds.get(node) ?? this.#readDiffIds(node);
    this.#diffIds.set(node, known);
    return known;
  }

  async #readDiffIds(node: ManifestNode): Promise<readonly string[]> {
    const { config } = node.document.value;
    if (config.mediaType !== OCI_CONFIG) return [];
    const bytes = await readSmall(this.#source, config, LIMITS.imageConfigBytes);
    return readDiffIds(bytes, `configuration ${config.digest}`);
  }
}
