import { DecoderError } from "../../errors.ts";
import type { RegistryClient } from "../../registry/client.ts";
import { type RegistryName, referenceOf } from "../../registry/name.ts";
import { listReferrers } from "../../registry/referrers-list.ts";
import { uploading } from "../../registry/upload.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import type { Content } from "./artifacts.ts";
import type { SignatureStore, Upload } from "./signature-store.ts";

/** One repository of a registry, by a client that may push. */
export class RegistrySignatures implements SignatureStore {
  readonly #client: RegistryClient;
  readonly #name: RegistryName;

  constructor(client: RegistryClient, name: RegistryName) {
    this.#client = client;
    this.#name = name;
  }

  async image(): Promise<Descriptor> {
    const { mediaType, digest, size } = await this.#client.manifest(referenceOf(this.#name));
    return { mediaType, digest, size };
  }

  async tagged(tag: string): Promise<Uint8Array | undefined> {
    try {
      return (await this.#client.manifest(tag)).bytes;
    } catch (error) {
      if (error instanceof DecoderError && error.code === "NOT_FOUND") return undefined;
      throw error;
    }
  }

  async blob({ digest }: Descriptor, most: number): Promise<Uint8Array> {
    return await this.#client.blob(digest, most);
  }

  async manifest({ digest }: Descriptor): Promise<Uint8Array> {
    return (await this.#client.manifest(digest)).bytes;
  }

  async referrers(digest: string): Promise<readonly Descriptor[]> {
    return await listReferrers(this.#client, digest);
  }

  async put({ blobs, manifests, manifest }: Upload, tag: string): Promise<void> {
    for (const blob of blobs) await this.#putBlob(blob);
    for (const it of manifests) await this.#putManifest(it.descriptor.digest, it);
    await this.#putManifest(tag, manifest);
  }

  async putReferrer({ blobs, manifest }: Upload): Promise<boolean> {
    for (const blob of blobs) await this.#putBlob(blob);
    return await this.#putManifest(manifest.descriptor.digest, manifest);
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #putManifest(reference: string, { descriptor, bytes }: Content): Promise<boolean> {
    return await this.#client.putManifest(reference, bytes, descriptor.mediaType);
  }

  async #putBlob({ descriptor: { digest, size }, bytes }: Content): Promise<void> {
    if (await this.#client.hasBlob(digest)) return;
    await uploading(this.#client, "the signature", async (upload) => {
      await upload.send({ chunks: once(bytes), size });
      await upload.commit(digest);
    });
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
