import { randomUUID } from "node:crypto";
import { DecoderError } from "../errors.ts";
import type { RegistryClient } from "../registry/client.ts";
import type { RegistryName } from "../registry/name.ts";
import { openClient } from "../registry/open.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import { Upload } from "../registry/upload.ts";
import type { Descriptor } from "../spec/descriptor.ts";
import { DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, OCI_MANIFEST } from "../spec/media-types.ts";
import type { BlobOutput } from "./blob-output.ts";
import type { ImageDestination, Transfer } from "./destination.ts";
import { RegistrySource } from "./registry-source.ts";
import { forgetClient, shareClient } from "./remote-clients.ts";
import type { ImageSource } from "./source.ts";
import type { DestinationOptions, TransportSettings } from "./transport.ts";

const DOCUMENT_TYPES: ReadonlySet<string> = new Set([
  OCI_INDEX,
  OCI_MANIFEST,
  DOCKER_MANIFEST_LIST,
  DOCKER_MANIFEST,
]);

/** A tag, and the repository that it belongs to. */
interface RegistryTag extends RegistryName {
  readonly tag: string;
}

/** A tag of a registry. Blobs and manifests go there as they are made, but the tag is set last, once. */
export class RegistryDestination implements ImageDestination {
  readonly #name: RegistryTag;
  readonly #client: RegistryClient;
  readonly #text: string;
  /** What the tag must still lead to when it is set; undefined: nothing. */
  readonly #expected: string | undefined;
  readonly #id = randomUUID();
  /** Address → upload that the registry began instead of a mount, until it is completed. */
  readonly #begun = new Map<string, Upload>();
  /** Addresses of those uploads that no output uses yet. */
  readonly #free: string[] = [];
  #remote: Promise<RemoteRepository> | undefined;

  private constructor(name: RegistryTag, text: string, client: RegistryClient, expected: string | undefined) {
    this.#name = name;
    this.#text = text;
    this.#client = client;
    this.#expected = expected;
    shareClient(this.#id, client);
  }

  /** @throws DecoderError EXISTS, UNAUTHORIZED, REGISTRY, CONFIG, INTERRUPTED */
  static async open(
    name: RegistryTag,
    text: string,
    settings: TransportSettings,
    options: DestinationOptions,
  ): Promise<RegistryDestination> {
    const { source, signal, replace } = options;
    const from =
      source instanceof RegistrySource && isSameRegistry(source.name, name) ? [source.name.repository] : [];
    const client = openClient(name, settings.registry, {
      access: "push",
      mountFrom: from,
      onWarning: settings.onNote,
      ...(signal && { signal }),
    });
    try {
      const isInPlace = source instanceof RegistrySource && isSameTag(source.name, name);
      // The digest that was just read is what the tag leads to.
      const found = isInPlace ? source.root.digest : await client.find(name.tag);
      if (found !== undefined && !replace) throw taken(text, name.tag);
      return new RegistryDestination(name, text, client, found);
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  async take(descriptor: Descriptor, source: ImageSource): Promise<Transfer | undefined> {
    const from =
      source instanceof RegistrySource && isSameRegistry(source.name, this.#name) ? source.name : undefined;
    if (from?.repository === this.#name.repository) return "present";
    if (DOCUMENT_TYPES.has(descriptor.mediaType)) return undefined;
    if (await this.#client.hasBlob(descriptor.digest)) return "present";
    if (from === undefined) return undefined;
    const mounted = await Upload.mount(this.#client, descriptor.digest, from.repository);
    if (!(mounted instanceof Upload)) return mounted;
    this.#begun.set(mounted.location, mounted);
    this.#free.push(mounted.location);
    return undefined;
  }

  async newOutput(): Promise<BlobOutput> {
    this.#remote ??= this.#client.remote(this.#id);
    const remote = await this.#remote;
    const begun = this.#free.pop();
    return { kind: "upload", remote, ...(begun !== undefined && { begun }) };
  }

  /** The registry has it: uploads are finished where they are made. */
  async adopt(output: BlobOutput): Promise<void> {
    if (output.kind === "upload" && output.begun !== undefined) this.#begun.delete(output.begun);
  }

  async putManifest({ digest, mediaType }: Descriptor, bytes: Uint8Array): Promise<void> {
    await this.#client.putManifest(digest, bytes, mediaType);
  }

  async commit({ digest, mediaType }: Descriptor, bytes: Uint8Array): Promise<void> {
    const { tag } = this.#name;
    const found = await this.#client.find(tag);
    if (found !== this.#expected) {
      if (this.#expected === undefined) throw taken(this.#text, tag);
      throw new DecoderError("EXISTS", `${this.#text}: the tag was moved meanwhile`, {
        hint: "another push has changed it: check what it is now, and run the command again",
      });
    }
    try {
      await this.#client.putManifest(tag, bytes, mediaType);
    } catch (error) {
      if (!(error instanceof DecoderError)) throw error;
      if (error.code === "INTERRUPTED") throw this.#uncertain("interrupted", error);
      // The registry may have set the tag, although its answer was lost.
      if (error.code === "REGISTRY" && (await this.#tagAfter(error)) === digest) return;
      throw error;
    }
  }

  /** What the tag leads to after it could not be set. @throws DecoderError UNCERTAIN if the registry does not say */
  async #tagAfter(error: DecoderError): Promise<string | undefined> {
    try {
      return await this.#client.find(this.#name.tag);
    } catch {
      throw this.#uncertain(`${error.message},`, error);
    }
  }

  #uncertain(why: string, cause: DecoderError): DecoderError {
    return new DecoderError(
      "UNCERTAIN",
      `${why} while the tag was being set: check whether ${this.#text} is the old image or the new one`,
      { cause, ...(cause.hint !== undefined && { hint: cause.hint }) },
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#begun.values()].map((upload) => upload.cancel()));
    forgetClient(this.#id);
    await this.#client.close();
  }
}

function isSameRegistry(one: RegistryName, other: RegistryName): boolean {
  return one.registry === other.registry;
}

function isSameTag(one: RegistryName, other: RegistryTag): boolean {
  const isSame = isSameRegistry(one, other) && one.repository === other.repository && one.tag === other.tag;
  // Of a name with both, the digest was read: the tag may lead elsewhere.
  return isSame && one.digest === undefined;
}

function taken(text: string, tag: string): DecoderError {
  return new DecoderError("EXISTS", `${text}: the tag "${tag}" already exists`, {
    hint: "choose another tag, or replace it with --force",
  });
}
