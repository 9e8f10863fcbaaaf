import { dirname, join } from "node:path";
import { DecoderError, describeSystemError, errnoOf } from "../../errors.ts";
import { openRegularFile } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import { exists, files } from "../../process/files.ts";
import { parseDigest } from "../../spec/digest.ts";
import * as SYSTEM_LIMITS from "../../system-limits.ts";
import { Bolt, type Bucket } from "./metadata.ts";
import {
  chainsMadeOf,
  finishedChains,
  type ImageRecord,
  imagesIn,
  isSnapshot,
  METADATA,
  parentsOf,
  pathsIn,
  repositoriesOf,
  SCHEMA,
  snapshotChains,
  walk,
} from "./schema.ts";

/** Label of a plain layer's blob with the digest of its tar. */
const UNCOMPRESSED_LABEL = "containerd.io/uncompressed";
/** containerd writes while this code reads. Data on which two readings agree is not torn. */
const READINGS = 8;

/** What containerd's metadata says about a layer that is being unpacked. */
interface Unpacking {
  /** "registry.example.com/tenant-a/app": every repository that brought the blob. */
  readonly repositories: readonly string[];
  /** Chain IDs being made by pulls that hold the blob. */
  readonly chains: readonly string[];
}

export interface UnpackedBlob {
  readonly digest: string;
  /** Digest of the tar that containerd unpacked. */
  readonly diffId: string;
}

/**
 * Reads containerd's metadata, in the schema of core/metadata/buckets.go. Each answer is read until two readings agree. A
 * reading that left something out does not count, because the missing part could be a sealed layer.
 */
export class ContainerdMetadata {
  readonly #path: string;

  /** @param store folder of the content store, the one with `blobs` in it */
  constructor(store: string) {
    this.#path = join(dirname(store), METADATA);
  }

  /** @throws DecoderError CONTENT_STORE */
  unpacking(digest: string): Unpacking {
    return this.#agreed((database, namespace) => {
      const repositories = repositoriesOf(database, namespace, digest);
      const chains = new Set(chainsMadeOf(database, namespace, digest));
      return { repositories: [...new Set(repositories)].sort(), chains: [...chains].sort() };
    }).reduce((all, one) => ({
      repositories: [...new Set([...all.repositories, ...one.repositories])],
      chains: [...new Set([...all.chains, ...one.chains])],
    }));
  }

  /** False for a content store without containerd's metadata, such as a copy of the folder. */
  get exists(): boolean {
    return exists(this.#path);
  }

  /** Every image, of all namespaces. @throws DecoderError CONTENT_STORE */
  images(): ImageRecord[] {
    return this.#agreed(imagesIn).flat();
  }

  /**
   * Names of a manifest or index. Images have names such as `registry.example.com:5000/shop/app:1.0`. Pulled blobs have
   * `registry.example.com/shop/app`, without the port.
   * @throws DecoderError CONTENT_STORE
   */
  namesOf(digest: string): string[] {
    const names = this.#agreed((database, namespace) => [
      ...imagesIn(database, namespace).flatMap((image) => (image.digest === digest ? image.name : [])),
      ...repositoriesOf(database, namespace, digest),
    ]);
    return [...new Set(names.flat())].slice(0, SYSTEM_LIMITS.blobSources);
  }

  /** Keys of snapshots that are absolute paths: those of image volumes. @throws DecoderError CONTENT_STORE */
  pathKeys(namespaceName: string): string[] {
    return this.#agreed((database, namespace, name) => {
      if (name !== namespaceName) return [];
      return [...database.entries(database.bucket(namespace, "snapshots"))].flatMap(([, snapshotter]) => [
        ...pathsIn(database, snapshotter),
      ]);
    }).flat();
  }

  /**
   * Chain IDs below a snapshot, nearest first.
   * @param key of the snapshot: a container's ID, or the path of an image volume
   * @returns undefined when no snapshotter has that key
   * @throws DecoderError CONTENT_STORE
   */
  chainsBelow(namespaceName: string, key: string): string[] | undefined {
    const found = this.#agreed((database, namespace, name) => {
      if (name !== namespaceName) return undefined;
      for (const [, snapshotter] of database.entries(database.bucket(namespace, "snapshots"))) {
        const snapshot = snapshotter && database.bucket(snapshotter, Buffer.from(key).toString("latin1"));
        if (snapshot) return parentsOf(database, snapshotter, snapshot);
      }
      return undefined;
    });
    return found.find((chains) => chains !== undefined);
  }

  /** Chains that have a finished snapshot in any namespace. @throws DecoderError CONTENT_STORE */
  finishedChains(): ReadonlySet<string> {
    return new Set(this.#agreed(finishedChains).flat());
  }

  /** Chains that have a snapshot in any namespace, finished or in the making. @throws DecoderError CONTENT_STORE */
  chains(): ReadonlySet<string> {
    return new Set(this.#agreed(snapshotChains).flat());
  }

  /**
   * Whether a layer may have completed a chain, or may still do so: the chain has a snapshot, or a pull that holds the layer is
   * making it. Both are seen in one reading, since containerd commits a snapshot and ends its unpacking in one transaction.
   * @throws DecoderError CONTENT_STORE
   */
  mayComplete(layer: string, chain: string): boolean {
    return this.#agreed(
      (database, namespace) =>
        isSnapshot(database, namespace, chain) || chainsMadeOf(database, namespace, layer).includes(chain),
    ).includes(true);
  }

  /**
   * Blobs that containerd has unpacked. Several may hold one tar, and each may be encrypted.
   * @throws DecoderError CONTENT_STORE
   */
  unpackedBlobs(): UnpackedBlob[] {
    return this.#agreed((database, namespace) =>
      [...database.entries(walk(database, namespace, ["content", "blob"]))].flatMap(([digest, blob]) => {
        const value = blob && database.value(database.bucket(blob, "labels"), UNCOMPRESSED_LABEL);
        const diffId = value?.toString("latin1") ?? "";
        return parseDigest(diffId) === undefined || parseDigest(digest) === undefined
          ? []
          : [{ diffId, digest }];
      }),
    ).flat();
  }

  /** Returns one answer per namespace, once two consecutive readings agree. */
  #agreed<T>(read: (database: Bolt, namespace: Bucket, name: string) => T): T[] {
    let before: string | undefined;
    for (let i = 0; i < READINGS; i++) {
      const answers = this.#read(read);
      const now = answers && JSON.stringify(answers, (_key, value) => value ?? null);
      if (answers !== undefined && now === before) return answers;
      before = now;
    }
    throw new DecoderError("CONTENT_STORE", `${this.#path} changes too fast to read, or is too large`);
  }

  /** @returns undefined for a reading that left something out */
  #read<T>(read: (database: Bolt, namespace: Bucket, name: string) => T): T[] | undefined {
    let fd: number;
    try {
      fd = openRegularFile(this.#path).fd;
    } catch (error) {
      throw new DecoderError(
        "CONTENT_STORE",
        `can't read containerd's metadata (${this.#path}): ${describeSystemError(error)}`,
        {
          cause: error,
          hint:
            errnoOf(error) === "ENOENT"
              ? "containerd makes it beside its content store when it first starts; --content-store names another store"
              : "only root can read it",
        },
      );
    }
    try {
      const database = Bolt.open(fd, LIMITS.metadataPagesMost);
      if (database === null)
        throw new DecoderError("CONTENT_STORE", `${this.#path} is not containerd's metadata`);
      const schema = database.bucket(database.root(), SCHEMA);
      const answers = [...database.entries(schema)].flatMap(([name, namespace]) =>
        namespace === null ? [] : [read(database, namespace, name)],
      );
      return database.isWhole ? answers : undefined;
    } finally {
      files.closeSync(fd);
    }
  }
}
