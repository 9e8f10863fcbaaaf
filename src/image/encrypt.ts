import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { LayerWrapper } from "../keywrap/wrap.ts";
import { sealOptions } from "../layer/seal.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { type Compression, encryptedType, type LayerType, parseLayerType } from "../spec/media-types.ts";
import type { ImageSource } from "../transport/source.ts";
import type { FilesReference, SourceReference } from "../transport/transport.ts";
import { type BuildOptions, buildImage } from "./build.ts";
import { LayerOpener, rewrap } from "./open-layer.ts";
import {
  type LayerChange,
  type RewriteOptions,
  type RewriteResult,
  rewriteImage,
  withImage,
} from "./rewrite.ts";
import { type ChosenLayer, chooseLayers, type Selection } from "./select.ts";
import { nameOf, readTree } from "./tree.ts";
import type { Workshop } from "./workshop.ts";

export interface EncryptOptions extends RewriteOptions {
  readonly source: SourceReference | FilesReference;
  /** For layers that are plain: "jwe:pub.pem" and the like. */
  readonly recipients: readonly string[];
  /** For layers that are encrypted already, which `keys` must open. */
  readonly addRecipients: readonly string[];
  readonly keys?: KeySet;
  readonly settings: WrapSettings;
  readonly selection: Selection;
  /** Undefined: gzip for layers that the source stores uncompressed, else as they are. */
  readonly compression: TargetCompression | undefined;
  /** zlib's, 0 to 9. */
  readonly compressionLevel: number;
  /** For `rootfs:` and `tar:`. */
  readonly build: BuildOptions;
}

/** zstd layers are kept in any case. */
export type TargetCompression = "keep" | "gzip" | "none";

/**
 * Encrypts the chosen layers of an image; when it returns they all are.
 * @throws DecoderError BAD_RECIPIENT, BAD_MEDIA_TYPE for a layer that can't be encrypted, and what reading, opening and
 * writing throw; the target is then as it was
 */
export async function encryptImage(options: EncryptOptions): Promise<RewriteResult> {
  const wrapper = await prepare(options.recipients, options.settings);
  const adder = await prepare(options.addRecipients, options.settings);
  const encrypt = async (source: ImageSource) => {
    const tree = await readTree(source);
    const chosen = chooseLayers(tree, options.selection);
    if (chosen.length === 0) throw new DecoderError("NOT_FOUND", "the image has no layer to encrypt");
    checkNobodyIsLeftOut(chosen, options);
    const compression = options.compression ?? (source.isUncompressed ? "gzip" : "keep");
    const encryptor = new Encryptor(wrapper, compression, options.compressionLevel);
    const opener = options.keys && new LayerOpener(options.keys, options.settings);
    try {
      const changes: LayerChange[] = [];
      for (const layer of chosen) {
        const type = layerType(layer);
        changes.push(type.encrypted ? await addition(layer, adder, opener) : encryptor.change(layer, type));
      }
      return await rewriteImage(source, tree, changes, options);
    } finally {
      opener?.close();
    }
  };
  const { source, signal } = options;
  return source.kind === "files"
    ? await buildImage(source, options, encrypt)
    : await withImage(source, signal, encrypt);
}

async function prepare(
  recipients: readonly string[],
  settings: WrapSettings,
): Promise<LayerWrapper | undefined> {
  return recipients.length === 0 ? undefined : await LayerWrapper.prepare(recipients, settings);
}

function layerType({ node, position, descriptor }: ChosenLayer): LayerType {
  const type = parseLayerType(descriptor.mediaType);
  if (type !== undefined) return type;
  throw new DecoderError(
    "BAD_MEDIA_TYPE",
    `layer ${position} of ${nameOf(node)} can't be encrypted: ${JSON.stringify(descriptor.mediaType.slice(0, 128))} is no layer of files`,
    { hint: "name the layers to encrypt with --layer" },
  );
}

/**
 * `recipients` are for plain layers and `addRecipients` for encrypted ones. Where all layers are of one kind, those who are
 * named for the other kind alone would get nothing.
 */
function checkNobodyIsLeftOut(
  chosen: readonly ChosenLayer[],
  { recipients, addRecipients }: EncryptOptions,
): void {
  const plain = chosen.filter((layer) => !layerType(layer).encrypted).length;
  if (recipients.length === 0 || addRecipients.length === 0 || (plain > 0 && plain < chosen.length)) return;
  const [right, wrong] = plain > 0 ? ["--recipient", "--add-recipient"] : ["--add-recipient", "--recipient"];
  const [served, named] = plain > 0 ? [recipients, addRecipients] : [addRecipients, recipients];
  const state =
    plain > 0 ? "none of the chosen layers is encrypted" : "every chosen layer is encrypted already";
  const leftOut = named.filter((recipient) => !served.includes(recipient));
  if (leftOut.length === 0) return;
  const list = (name: string) => leftOut.map((recipient) => `${name} ${recipient}`).join(" ");
  throw new DecoderError("BAD_RECIPIENT", `${state}, so that ${list(wrong)} would do nothing`, {
    hint: `if that is for whom they are to be, say ${list(right)}`,
  });
}

/** Encrypts plain layers, each different one once: platforms may share some. */
class Encryptor {
  readonly #wrapper: LayerWrapper | undefined;
  readonly #compression: TargetCompression;
  readonly #level: number;
  readonly #encrypted = new Map<string, Promise<Descriptor>>();

  constructor(wrapper: LayerWrapper | undefined, compression: TargetCompression, level: number) {
    this.#wrapper = wrapper;
    this.#compression = compression;
    this.#level = level;
  }

  change(layer: ChosenLayer, type: LayerType): LayerChange {
    const wrapper = this.#wrapper;
    if (wrapper === undefined) {
      throw new DecoderError(
        "BAD_RECIPIENT",
        `layer ${layer.position} of ${nameOf(layer.node)} is not encrypted, and no recipient is named to encrypt it for`,
        {
          hint: "--recipient encrypts plain layers; --layer chooses the encrypted ones only",
        },
      );
    }
    const work = async (workshop: Workshop) => {
      const made = await this.#once(layer.descriptor, () =>
        this.#encrypt(layer.descriptor, type, wrapper, workshop),
      );
      return { descriptor: merged(layer.descriptor, made), transfer: "copied" as const };
    };
    return { ...layer, action: "encrypted", work };
  }

  #once({ digest, mediaType }: Descriptor, encrypt: () => Promise<Descriptor>): Promise<Descriptor> {
    const id = `${digest} ${mediaType}`;
    const known = this.#encrypted.get(id) ?? encrypt();
    this.#encrypted.set(id, known);
    return known;
  }

  async #encrypt(
    descriptor: Descriptor,
    type: LayerType,
    wrapper: LayerWrapper,
    workshop: Workshop,
  ): Promise<Descriptor> {
    const from = type.compression;
    const to = this.#compression === "keep" || from === "zstd" ? from : this.#compression;
    const recompress = { from, to, level: this.#level };
    const made = await workshop.make(descriptor, (input, output) => ({
      kind: "encrypt",
      ...input,
      output,
      recompress,
    }));
    if (made.encrypted === undefined) throw new Error("bug: an encrypted layer came without its options");
    const annotations = await sealOptions(made.encrypted, wrapper);
    const mediaType = encryptedType({ ...type, oci: withCompression(type.oci, recompress.to) });
    return { mediaType, digest: made.digest, size: made.size, annotations };
  }
}

function withCompression(mediaType: string, compression: Compression): string {
  const base = mediaType.replace(/\+(?:gzip|zstd)$/, "");
  return compression === "none" ? base : `${base}+${compression}`;
}

/**
 * The layer's descriptor with its new content. What led to the plain content must not stay: `data` is that content, and
 * `urls` are other places where it lies (OCI image spec, "Content Descriptors").
 */
function merged(old: Descriptor, made: Descriptor): Descriptor {
  const { data: _data, urls: _urls, ...kept } = old;
  return { ...kept, ...made, annotations: { ...old.annotations, ...made.annotations } } as Descriptor;
}

async function addition(
  layer: ChosenLayer,
  adder: LayerWrapper | undefined,
  opener: LayerOpener | undefined,
): Promise<LayerChange> {
  if (adder === undefined || opener === undefined) {
    throw new DecoderError(
      "BAD_MEDIA_TYPE",
      `layer ${layer.position} of ${nameOf(layer.node)} is encrypted already`,
      {
        hint: "--add-recipient together with --key adds recipients to encrypted layers",
      },
    );
  }
  return rewrap(layer, await opener.open(layer), adder, "add");
}
