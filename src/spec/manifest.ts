import type { Descriptor } from "./descriptor.ts";

/** OCI image-spec v1.1 manifest, index and image configuration. Unknown fields are kept. */

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly [field: string]: unknown;
}

export interface Manifest {
  readonly schemaVersion: number;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export interface IndexEntry extends Descriptor {
  readonly platform?: Platform;
}

export interface Index {
  readonly schemaVersion: number;
  readonly mediaType?: string;
  readonly manifests: readonly IndexEntry[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export interface ImageConfig extends Platform {
  readonly rootfs: { readonly type: "layers"; readonly diff_ids: readonly string[] };
}

/** The image's name in a layout's index.json. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** containerd's full name of an image in an exported archive. */
export const CONTAINERD_NAME = "io.containerd.image.name";
/** BuildKit's attestations: the manifest's type, and the digest of the manifest that it describes. */
export const REFERENCE_TYPE = "vnd.docker.reference.type";
export const REFERENCE_DIGEST = "vnd.docker.reference.digest";
