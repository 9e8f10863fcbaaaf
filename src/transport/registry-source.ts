import { randomUUID } from "node:crypto";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import type { RegistryClient } from "../registry/client.ts";
import type { RemoteDocument } from "../registry/document.ts";
import { type RegistryName, referenceOf } from "../registry/name.ts";
import { openClient } from "../registry/open.ts";
import { fallbackTag } from "../registry/referrers.ts";
import { listReferrers } from "../registry/referrers-list.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import type { IndexEntry } from "../spec/manifest.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import { type BlobLocation, missingBlob } from "./blob.ts";
import { forgetClient, shareClient } from "./remote-clients.ts";
import type { ImageSource } from "./source.ts";
import type { TransportSettings } from "./transport.ts";

/** Tags that are named when one is missing. */
const SHOWN_TAGS = 20;

/** An image in a registry. It reads manifests, and reads blobs only on demand. Each configuration is fetched once. */
export class RegistrySource implements ImageSource {
  readonly root: IndexEntry;
  readonly isUncompressed = false;
  readonly isRemote = true;
  readonly name: RegistryName;
  readonly #client: RegistryClient;
  readonly #document: RemoteDocument;
  readonly #id = randomUUID();
  /** Digest → configuration that was read. */
  readonly #kept = new Map<string, Uint8Array>();
  #keptBytes = 0;
  #remote: Promise<RemoteRepository> | undefined;

  private constructor(name: RegistryName, client: RegistryClient, document: RemoteDocument) {
    const { mediaType, digest, size } = document;
    this.name = name;
    this.root = { mediaType, digest, size };
    this.#client = client;
    this.#document = document;
    shareClient(this.#id, client);
  }

  /** @throws DecoderError NOT_FOUND, UNAUTHORIZED, REGISTRY, BAD_IMAGE, LIMIT, CONFIG, INTERRUPTED */
  static async open(
    name: RegistryName,
    settings: TransportSettings,
    signal?: AbortSignal,
  ): Promise<RegistrySource> {
    const { registry: access, onNote } = settings;
    const client = openClient(name, access, { access: "pull", onWarning: onNote, ...(signal && { signal }) });
    try {
      return new RegistrySource(name, client, await client.manifest(referenceOf(name)));
    } catch (error) {
      const hinted = await withTags(error, name, client);
      await client.close();
      throw hinted;
    }
  }

  async readManifest({ digest, size }: Descriptor): Promise<Uint8Array> {
    if (digest === this.#document.digest) return this.#document.bytes;
    if (size > LIMITS.manifestBytes) {
      throw new DecoderError(
        "LIMIT",
        `manifest ${digest} has ${size} bytes; one may have at most ${LIMITS.manifestBytes}`,
      );
    }
    const document = await this.#client.manifest(digest);
    if (document.size === size) return document.bytes;
    throw new DecoderError(
      "SIZE_MISMATCH",
      `manifest ${digest} has ${document.size} bytes, but the image says ${size}`,
    );
  }

  async locate({ digest, size, urls }: Descriptor): Promise<BlobLocation> {
    const bytes = this.#kept.get(digest);
    if (bytes !== undefined) return { kind: "memory", bytes };
    // What is elsewhere too need not be here. Those addresses are never asked: the registry is (CVE-2020-15157).
    const mayBeElsewhere = Array.isArray(urls) && urls.length > 0;
    if (mayBeElsewhere && !(await this.#client.hasBlob(digest)))
      throw missingBlob(digest, this.#client.target);
    this.#remote ??= this.#client.remote(this.#id);
    return { kind: "remote", remote: await this.#remote, digest, size };
  }

  /** Keeps as many bytes as one configuration may have: those of a real image have some KiB. */
  keep(digest: string, bytes: Uint8Array): void {
    if (this.#kept.has(digest) || this.#keptBytes + bytes.length > SYSTEM_LIMITS.imageConfigBytes) return;
    this.#kept.set(digest, bytes);
    this.#keptBytes += bytes.length;
  }

  /** Asks, after all else, whether something refers to this image by its digest. Errors count as no. */
  async hasReferrers(): Promise<boolean> {
    const { digest } = this.root;
    this.#client.session.stopRetrying();
    try {
      if ((await listReferrers(this.#client, digest)).length > 0) return true;
      // cosign's own tag, which is older than the specification's.
      return (await this.#client.find(`${fallbackTag(digest)}.sig`)) !== undefined;
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    forgetClient(this.#id);
    await this.#client.close();
  }
}

/** A missing tag's error with the tags that there are. */
async function withTags(
  error: unknown,
  { tag, digest }: RegistryName,
  client: RegistryClient,
): Promise<unknown> {
  if (!(error instanceof DecoderError) || error.code !== "NOT_FOUND" || digest !== undefined) return error;
  client.session.stopRetrying();
  // The tags of signatures and referrers would hide those of images.
  const tags = (await client.tags()).filter((it) => !/^sha\d+-/.test(it));
  if (tags.length === 0 || tag === undefined) return error;
  const more = tags.length > SHOWN_TAGS ? ", …" : "";
  return new DecoderError("NOT_FOUND", error.message, {
    hint: `it has: ${tags.slice(0, SHOWN_TAGS).join(", ")}${more}`,
    cause: error,
  });
}
