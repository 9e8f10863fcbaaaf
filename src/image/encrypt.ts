import { DecoderError } from "../errors.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { LayerWrapper } from "../keywrap/wrap.ts";
import { type LayerType, parseLayerType } from "../spec/media-types.ts";
import type { ImageSource } from "../transport/source.ts";
import type { FilesReference, SourceReference } from "../transport/transport.ts";
import { type BuildOptions, buildImage, type CompressionSettings } from "./build.ts";
import type { LayerChange } from "./layer-change.ts";
import { LayerEncryptor } from "./layer-encryptor.ts";
import { LayerOpener } from "./layer-opener.ts";
import type { Running } from "./progress.ts";
import { rewrapped } from "./rewrap.ts";
import { type Into, type RewriteResult, rewriteImage } from "./rewrite.ts";
import { type ChosenLayer, chooseLayers, type Selection } from "./select.ts";
import { type ImageTree, type ManifestNode, nameOf } from "./tree.ts";

export interface EncryptOptions {
  readonly source: SourceReference | FilesReference;
  readonly into: Into;
  readonly running: Running;
  /** Recipients of plain layers: "jwe:pub.pem" and the like. */
  readonly recipients: readonly string[];
  /** New recipients of layers that are already encrypted, which `keys` must open. */
  readonly addRecipients: readonly string[];
  readonly keys?: KeySet;
  readonly settings: WrapSettings;
  readonly selection: Selection;
  /** An image whose layers are left out: the public base. */
  readonly base?: SourceReference;
  readonly compression: CompressionSettings;
  /** The image that is made of files. */
  readonly build: BuildOptions;
}

/**
 * Encrypts the chosen layers of an image. When it returns, all of them are encrypted.
 * @throws DecoderError BAD_RECIPIENT, BAD_MEDIA_TYPE for a layer that can't be encrypted, and what reading, opening and
 * writing throw; the destination is then as it was
 */
export async function encryptImage(options: EncryptOptions): Promise<RewriteResult> {
  const { source, settings, running } = options;
  const wrapper = await prepare(options.recipients, settings);
  const adder = await prepare(options.addRecipients, settings);
  const opener = options.keys && new LayerOpener(options.keys, settings);
  const opensSlowly = source.kind === "files" || source.opensSlowly;
  const open = async (opening: Running) =>
    source.kind === "files"
      ? await buildImage(source, options.build, options.compression, opening)
      : await source.open(opening);
  const plan = async (tree: ImageTree, image: ImageSource) => {
    const chosen = chooseLayers(tree, options.selection, await basesIn(tree, image, options));
    if (chosen.length === 0) throw new DecoderError("NOT_FOUND", "the image has no layer to encrypt");
    checkAllAreServed(chosen, options.recipients, options.addRecipients);
    const { kind = image.isUncompressed ? "gzip" : "keep", level } = options.compression;
    const encryptor = new LayerEncryptor(wrapper, kind, level);
    const changes: LayerChange[] = [];
    for (const layer of chosen) {
      const type = layerType(layer);
      changes.push(type.encrypted ? await addition(layer, adder, opener) : encryptor.change(layer, type));
    }
    return changes;
  };
  try {
    return await rewriteImage(
      { encrypts: true, opensSlowly, needsPlatforms: true, open, plan },
      options.into,
      running,
    );
  } finally {
    opener?.close();
  }
}

async function basesIn(
  tree: ImageTree,
  image: ImageSource,
  { base, running }: EncryptOptions,
): Promise<ReadonlyMap<ManifestNode, number> | undefined> {
  if (base === undefined) return undefined;
  const { baseLayers } = await import("./base.ts");
  return await baseLayers(tree, image, { open: () => base.open(running), name: "the base image" });
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
    `layer ${position} of ${nameOf(node)} can't be encrypted: ${JSON.stringify(descriptor.mediaType.slice(0, 128))} is not the media type of a layer of files`,
    { hint: "choose the layers to encrypt with --layer" },
  );
}

/**
 * `recipients` are for plain layers, `addRecipients` for encrypted ones. If all chosen layers are of one kind, a recipient
 * named for the other kind alone would be left out.
 */
function checkAllAreServed(
  chosen: readonly ChosenLayer[],
  recipients: readonly string[],
  addRecipients: readonly string[],
): void {
  const plain = chosen.filter((layer) => !layerType(layer).encrypted).length;
  if (recipients.length === 0 || addRecipients.length === 0 || (plain > 0 && plain < chosen.length)) return;
  const [right, wrong] = plain > 0 ? ["--recipient", "--add-recipient"] : ["--add-recipient", "--recipient"];
  const [served, named] = plain > 0 ? [recipients, addRecipients] : [addRecipients, recipients];
  const leftOut = named.filter((recipient) => !served.includes(recipient));
  if (leftOut.length === 0) return;
  const list = (option: string) => leftOut.map((recipient) => `${option} ${recipient}`).join(" ");
  const state = plain > 0 ? "no chosen layer is encrypted" : "every chosen layer is already encrypted";
  throw new DecoderError("BAD_RECIPIENT", `${state}, so ${list(wrong)} would do nothing`, {
    hint: `if these recipients are meant to open them, use ${list(right)}`,
  });
}

async function addition(
  layer: ChosenLayer,
  adder: LayerWrapper | undefined,
  opener: LayerOpener | undefined,
): Promise<LayerChange> {
  if (adder !== undefined && opener !== undefined) {
    return rewrapped(layer, await opener.open(layer), adder);
  }
  throw new DecoderError(
    "BAD_MEDIA_TYPE",
    `layer ${layer.position} of ${nameOf(layer.node)} is already encrypted`,
    { hint: "--add-recipient RECIPIENT together with --key FILE adds a recipient to encrypted layers" },
  );
}
