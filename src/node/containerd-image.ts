import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { Bolt } from "../containerd/store/metadata.ts";
import { DecoderError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { DOCKER_MANIFEST_LIST, OCI_INDEX } from "../spec/media-types.ts";
import { readSmall } from "../transport/blob.ts";
import { parseIndex } from "../transport/documents.ts";
import { folderBlobs } from "../transport/layout.ts";
import { blobName } from "../transport/layout-index.ts";
import { type ImageSource, StoredImage } from "../transport/source.ts";

const CONTENT = "io.containerd.content.v1.content";
const METADATA = "io.containerd.metadata.v1.bolt/meta.db";

/**
 * An image of a containerd's store by its full name, "docker.io/library/app:enc". Of an index, the first manifest that
 * was pulled.
 * @param root containerd's folder
 * @throws DecoderError NOT_FOUND, CONTENT_STORE, BAD_IMAGE
 */
export async function openContainerdImage(root: string, name: string): Promise<ImageSource> {
  const folder = join(root, CONTENT);
  const blobs = folderBlobs(folder);
  let target = targetOf(root, name);
  if (target.mediaType === OCI_INDEX || target.mediaType === DOCKER_MANIFEST_LIST) {
    const bytes = await readSmall(blobs, target, LIMITS.manifestBytes);
    const pulled = parseIndex(bytes, name).value.manifests.find(({ digest }) =>
      existsSync(join(folder, blobName(digest))),
    );
    if (pulled === undefined) throw new DecoderError("NOT_FOUND", `no manifest of ${name} was pulled`);
    target = pulled;
  }
  return new StoredImage(target, blobs);
}

/** containerd's schema (core/metadata/buckets.go): v1/NAMESPACE/images/NAME/target/{digest,mediatype,size}. */
function targetOf(root: string, name: string): Descriptor {
  const path = join(root, METADATA);
  if (!existsSync(path))
    throw new DecoderError("CONTENT_STORE", `${root} is no folder of a containerd: there is no ${METADATA}`);
  const fd = openSync(path, "r");
  try {
    const database = Bolt.open(fd);
    const namespaces = database?.entries(database.bucket(database.root(), "v1")) ?? [];
    for (const [, namespace] of namespaces) {
      const image = database?.bucket(database.bucket(namespace, "images"), name) ?? null;
      const target = database?.bucket(image, "target") ?? null;
      const text = (field: string) => database?.value(target, field)?.toString() ?? "";
      const size = database?.value(target, "size");
      if (size) return { mediaType: text("mediatype"), digest: text("digest"), size: readVarint(size) };
    }
  } finally {
    closeSync(fd);
  }
  throw new DecoderError("NOT_FOUND", `containerd has no image named ${JSON.stringify(name)} in ${root}`, {
    hint: "give the whole name, such as docker.io/library/app:tag, or a layout as oci:DIR",
  });
}

/** Go's encoding/binary: groups of 7 bits, the sign in the lowest bit. */
function readVarint(bytes: Uint8Array): number {
  let value = 0;
  for (const [i, byte] of bytes.entries()) value += (byte & 0x7f) * 2 ** (7 * i);
  return value / 2;
}
