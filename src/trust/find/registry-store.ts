import { DecoderError } from "../../errors.ts";
import type { RegistryClient } from "../../registry/client.ts";
import { listReferrers } from "../../registry/referrers-list.ts";
import type { Descriptor } from "../../spec/descriptor.ts";
import type { ArtifactStore, StoredManifest } from "./artifact-store.ts";

/** An image's repository in a registry. */
export class RegistryStore implements ArtifactStore {
  readonly #client: RegistryClient;

  constructor(client: RegistryClient) {
    this.#client = client;
  }

  async manifest(reference: string): Promise<StoredManifest | undefined> {
    try {
      return await this.#client.manifest(reference);
    } catch (error) {
      if (error instanceof DecoderError && error.code === "NOT_FOUND") return undefined;
      throw error;
    }
  }

  async blob({ digest, size }: Descriptor, most: number): Promise<Uint8Array> {
    const bytes = await this.#client.blob(digest, most);
    if (bytes.length === size) return bytes;
    throw new DecoderError("SIZE_MISMATCH", `blob ${digest} has ${bytes.length} bytes, not ${size}`);
  }

  /** Unfiltered: artifact types of fallback indexes are often wrong. */
  async referrers(digest: string): Promise<readonly Descriptor[]> {
    return await listReferrers(this.#client, digest);
  }
}
