import { DecoderError, type ErrorCode } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import { describeLayer, recipientNames } from "../keywrap/describe.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { type OpenedLayer, openLayer } from "../layer/open.ts";
import { endingAtOnce } from "../process/signals.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { OCI_CONFIG, parseLayerType } from "../spec/media-types.ts";
import * as LIMITS from "../system-limits.ts";
import { locateChecked, readSmall } from "../transport/blob.ts";
import { readDiffIds } from "../transport/docker-archive.ts";
import type { ImageSource } from "../transport/source.ts";
import type { SourceReference } from "../transport/transport.ts";
import { layerKey } from "./layer-opener.ts";
import { LayerPool } from "./layer-pool.ts";
import type { LayerReport, Running } from "./progress.ts";
import { type ChosenLayer, chooseEncryptedLayers, chooseLayers, type Selection } from "./select.ts";
import { type AbsentInfo, absentIn, type ImageTree, type ManifestNode, nameOf } from "./tree.ts";
import { readTree } from "./tree-reader.ts";

interface VerifyOptions {
  readonly source: SourceReference;
  readonly running: Running;
  readonly keys: KeySet;
  readonly settings: SchemeSettings;
  readonly selection: Selection;
}

export interface VerifyResult {
  /** Digest of the image's manifest or index. */
  readonly digest: string;
  /** Layers that are as they were encrypted. */
  readonly layers: readonly LayerReport[];
  readonly failures: readonly VerifyFailure[];
  /** Chosen layers that are not encrypted, which are not verified. */
  readonly plain: readonly LayerPlace[];
  /** Entries of indexes that the source lacks, which are not verified. */
  readonly absent: readonly AbsentInfo[];
  readonly recipients: readonly LayerRecipients[];
  /** Bytes of the encrypted layers. */
  readonly bytes: number;
}

export interface LayerRecipients extends LayerPlace {
  /** Who can decrypt the layer, as the image names them: "jwe:KID", or the scheme alone if the packet names no recipient. */
  readonly names: readonly string[];
}

/** Which layer of which platform. */
export interface LayerPlace {
  readonly platform: string;
  readonly position: number;
  readonly digest: string;
}

interface VerifyFailure extends LayerPlace {
  readonly code: ErrorCode;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
}

/**
 * Reads the chosen layers that are encrypted. Checks HMAC and digest, and that the plaintext is a complete tar archive with
 * the digest in the image's configuration. Writes nothing. A bad layer is part of the result, not an error.
 * @throws DecoderError NOT_FOUND when no chosen layer is encrypted; what is wrong with the image's manifests
 */
export async function verifyImage(options: VerifyOptions): Promise<VerifyResult> {
  const { running, selection } = options;
  const source = await options.source.open(running);
  try {
    const tree = await readTree(source);
    const layers = chooseEncryptedLayers(tree, selection);
    const results = await new Verifier(source, options, layers).verify();
    return {
      digest: tree.descriptor.digest,
      layers: results.filter((result): result is LayerReport => !("code" in result)),
      failures: results.filter((result): result is VerifyFailure => "code" in result),
      plain: plainLayers(tree, selection),
      absent: absentIn(tree),
      recipients: await Promise.all(layers.map(recipientsOf)),
      bytes: bytesOf(layers),
    };
  } finally {
    await source.close();
  }
}

function plainLayers(tree: ImageTree, selection: Selection): LayerPlace[] {
  const plain = chooseLayers(tree, selection).filter(
    ({ descriptor }) => !parseLayerType(descriptor.mediaType)?.encrypted,
  );
  return plain.map(placeOf);
}

async function recipientsOf(layer: ChosenLayer): Promise<LayerRecipients> {
  const packets = await describeLayer(layer.descriptor.annotations ?? {});
  return { ...placeOf(layer), names: recipientNames(packets) };
}

function placeOf({ node, position, descriptor }: ChosenLayer): LayerPlace {
  return { platform: nameOf(node), position, digest: descriptor.digest };
}

function bytesOf(layers: readonly ChosenLayer[]): number {
  return layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
}

class Verifier {
  readonly #source: ImageSource;
  readonly #options: VerifyOptions;
  readonly #layers: readonly ChosenLayer[];
  readonly #pool: LayerPool;
  readonly #diffIds = new Map<ManifestNode, Promise<readonly string[]>>();

  constructor(source: ImageSource, options: VerifyOptions, layers: readonly ChosenLayer[]) {
    this.#source = source;
    this.#options = options;
    this.#layers = layers;
    const sizes = layers.map(({ descriptor }) => descriptor.size);
    this.#pool = LayerPool.forBlobs(sizes, options.running.threads);
  }

  /** Once. @throws DecoderError INTERRUPTED */
  async verify(): Promise<(LayerReport | VerifyFailure)[]> {
    const { progress, signal } = this.#options.running;
    progress.begin({ kind: "layers", bytes: bytesOf(this.#layers) });
    const stop = () => void this.#pool.close();
    signal?.addEventListener("abort", stop);
    try {
      const checks = this.#layers.map((layer) => this.#result(layer));
      const [results] = await Promise.all([Promise.all(checks), this.#reportInOrder(checks)]);
      if (signal?.aborted) throw new DecoderError("INTERRUPTED", "interrupted");
      return results;
    } finally {
      signal?.removeEventListener("abort", stop);
      await this.#pool.close();
    }
  }

  async #reportInOrder(checks: readonly Promise<LayerReport | VerifyFailure>[]): Promise<void> {
    for (const check of checks) {
      const result = await check;
      if (!("code" in result)) this.#options.running.progress.finish(result);
    }
  }

  async #result(layer: ChosenLayer): Promise<LayerReport | VerifyFailure> {
    const { digest, size, mediaType } = layer.descriptor;
    try {
      await this.#check(layer);
      return { ...placeOf(layer), action: "verified", from: digest, size, mediaType, transfer: "none" };
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      const { code, message, hint } = error;
      return { ...placeOf(layer), code, message, ...(hint !== undefined && { hint }) };
    }
  }

  async #check(layer: ChosenLayer): Promise<void> {
    const { keys, settings } = this.#options;
    const opened = await endingAtOnce(() => openLayer(layer.descriptor, keys, settings));
    try {
      await this.#checkWith(opened, layer);
    } finally {
      opened.close();
    }
  }

  async #checkWith(opened: OpenedLayer, { node, position, descriptor }: ChosenLayer): Promise<void> {
    const { digest, size, mediaType } = descriptor;
    const job = {
      kind: "verify",
      location: await locateChecked(this.#source, descriptor),
      name: `layer ${position}`,
      descriptor: { digest, size, mediaType },
      options: layerKey(opened),
      compression: parseLayerType(mediaType)?.compression ?? "none",
      diffId: (await this.#diffIdsOf(node))[position],
    } as const;
    await this.#pool.run(job, (count) => this.#options.running.progress.advance(count));
  }

  /** Empty for a manifest without an image configuration. */
  #diffIdsOf(node: ManifestNode): Promise<readonly string[]> {
    const known = this.#diffIds.get(node) ?? this.#readDiffIds(node.document.value.config);
    this.#diffIds.set(node, known);
    return known;
  }

  async #readDiffIds(config: Descriptor): Promise<readonly string[]> {
    if (config.mediaType !== OCI_CONFIG) return [];
    const bytes = await readSmall(this.#source, config, LIMITS.imageConfigBytes);
    return readDiffIds(bytes, `configuration ${config.digest}`);
  }
}
