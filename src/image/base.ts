import { isObject } from "../encoding/json.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { readSmall } from "../transport/blob.ts";
import { parseObject } from "../transport/documents.ts";
import type { ImageSource } from "../transport/source.ts";
import { type ImageTree, type ManifestNode, manifestsOf, nameOf } from "./tree.ts";
import { readTree } from "./tree-reader.ts";

/**
 * How many first layers of each image are those of a base image. Diff IDs are compared, so a base may be compressed
 * otherwise.
 * @param open opens the base image. @param name names it in messages
 * @throws DecoderError NOT_FOUND for an image that is not built on the base
 */
export async function baseLayers(
  tree: ImageTree,
  source: ImageSource,
  { open, name }: { readonly open: () => Promise<ImageSource>; readonly name: string },
): Promise<ReadonlyMap<ManifestNode, number>> {
  const base = await open();
  const bases: string[][] = [];
  for (const node of imagesIn(await readTree(base))) bases.push(await diffIdsOf(node, base));
  const counts = new Map<ManifestNode, number>();
  for (const node of imagesIn(tree)) {
    const diffIds = await diffIdsOf(node, source);
    const lengths = bases.filter((it) => isPrefix(it, diffIds)).map(({ length }) => length);
    counts.set(node, Math.max(0, ...lengths));
    if (counts.get(node) === 0)
      throw new DecoderError(
        "NOT_FOUND",
        `${nameOf(node)} is not built on ${name}: its first layers are others`,
        {
          hint: "name the base image that it was built on, or count its layers with --except-base",
        },
      );
  }
  return counts;
}

function imagesIn(tree: ImageTree): ManifestNode[] {
  return [...manifestsOf(tree)].filter(({ role }) => role === "image");
}

async function diffIdsOf(node: ManifestNode, source: ImageSource): Promise<string[]> {
  const { config } = node.document.value;
  const { value } = parseObject(await readSmall(source, config, LIMITS.imageConfigBytes), config.digest);
  const rootfs = value["rootfs"];
  return isObject(rootfs) && Array.isArray(rootfs["diff_ids"]) ? rootfs["diff_ids"].map(String) : [];
}

function isPrefix(prefix: readonly string[], whole: readonly string[]): boolean {
  return prefix.every((it, i) => it === whole[i]);
}
