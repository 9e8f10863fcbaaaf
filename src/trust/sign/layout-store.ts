import * as LIMITS from "../../limits.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import { REF_NAME } from "../../spec/manifest.ts";
import { readSmall } from "../../transport/blob.ts";
import { writeBlob } from "../../transport/blob-output.ts";
import type { FileReference } from "../../transport/file-reference.ts";
import { folderBlobs, openLayout, readLayoutIndex } from "../../transport/layout.ts";
import { LayoutDestination } from "../../transport/layout-destination.ts";
import type { Content } from "./artifacts.ts";
import type { SignatureStore, Upload } from "./signature-store.ts";

/** A layout's folder. Signatures have the tags that a registry without the referrers API has for them. */
export class LayoutSignatures implements SignatureStore {
  readonly #reference: FileReference;

  constructor(reference: FileReference) {
    this.#reference = reference;
  }

  async image(): Promise<Descriptor> {
    const source = await openLayout(this.#reference);
    try {
      await source.readManifest(source.root);
      const { mediaType, digest, size } = source.root;
      return { mediaType, digest, size };
    } finally {
      await source.close();
    }
  }

  async tagged(tag: string): Promise<Uint8Array | undefined> {
    const { value } = await readLayoutIndex(this.#reference.path);
    const entry = value.manifests.find(({ annotations }) => annotations?.[REF_NAME] === tag);
    return entry && (await this.manifest(entry));
  }

  async blob(descriptor: Descriptor, most: number): Promise<Uint8Array> {
    return await readSmall(folderBlobs(this.#reference.path), descriptor, most);
  }

  async manifest(descriptor: Descriptor): Promise<Uint8Array> {
    return await this.blob(descriptor, LIMITS.manifestBytes);
  }

  /** None besides those in the index under the fallback tag. */
  async referrers(): Promise<readonly Descriptor[]> {
    return [];
  }

  async put({ blobs, manifests, manifest }: Upload, tag: string): Promise<void> {
    const { path } = this.#reference;
    const destination = await LayoutDestination.open(
      { path, tag, digest: undefined, text: `oci:${path}:${tag}` },
      { replace: true },
    );
    try {
      for (const blob of [...blobs, ...manifests]) await putBlob(destination, blob);
      await destination.commit(manifest.descriptor, manifest.bytes);
    } finally {
      await destination.close();
    }
  }

  async putReferrer(): Promise<boolean> {
    return false;
  }

  async close(): Promise<void> {}
}

async function putBlob(destination: LayoutDestination, { descriptor, bytes }: Content): Promise<void> {
  if ((await destination.take(descriptor)) !== undefined) return;
  const output = await destination.newOutput();
  const chunks = (async function* () {
    yield bytes;
  })();
  await writeBlob(output, `blob ${descriptor.digest}`, () => ({
    chunks,
    size: bytes.length,
    digest: () => descriptor.digest,
  }));
  await destination.adopt(output, descriptor.digest);
}
