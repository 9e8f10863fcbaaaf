/** Layer media types, plain and encrypted (OCI image spec, Docker image manifest v2.2, ocicrypt's `+encrypted`). */

export type Compression = "none" | "gzip" | "zstd";

export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
export const DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";

const ENCRYPTED_SUFFIX = "+encrypted";

const OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
const OCI_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar";

/** Uncompressed layers: the media type, the equivalent OCI type, and the separator before a compression. */
const UNCOMPRESSED = [
  [OCI_LAYER, OCI_LAYER, "+"],
  [OCI_NONDISTRIBUTABLE, OCI_NONDISTRIBUTABLE, "+"],
  [DOCKER_LAYER, OCI_LAYER, "."],
  [DOCKER_FOREIGN, OCI_NONDISTRIBUTABLE, "."],
] as const;
const COMPRESSIONS = ["none", "gzip", "zstd"] as const;

export interface LayerType {
  /** The media type without encryption, as given ("application/vnd.docker.image.rootfs.diff.tar.gzip"). */
  readonly plain: string;
  /** The equivalent OCI media type ("application/vnd.oci.image.layer.v1.tar+gzip"). */
  readonly oci: string;
  readonly compression: Compression;
  readonly encrypted: boolean;
}

/** Parses a layer's media type. Returns undefined for a type that is not a known layer type. */
export function parseLayerType(mediaType: string): LayerType | undefined {
  const encrypted = mediaType.endsWith(ENCRYPTED_SUFFIX);
  const plain = encrypted ? mediaType.slice(0, -ENCRYPTED_SUFFIX.length) : mediaType;
  for (const [base, oci, separator] of UNCOMPRESSED)
    for (const compression of COMPRESSIONS)
      if (plain === compressed(base, separator, compression))
        return { plain, oci: compressed(oci, "+", compression), compression, encrypted };
  return undefined;
}

function compressed(base: string, separator: string, compression: Compression): string {
  return compression === "none" ? base : base + separator + compression;
}

/** The encrypted media type of a layer. It is always OCI's, because other tools refuse Docker's. */
export function encryptedType(layer: LayerType): string {
  return layer.oci + ENCRYPTED_SUFFIX;
}

/** OCI's media type of a plain layer, for newly written layers. */
export function plainLayerType(compression: Compression): string {
  return compressed(OCI_LAYER, "+", compression);
}

/** Every accepted encrypted layer type, for configuration. */
export function encryptedTypes(): string[] {
  return UNCOMPRESSED.flatMap(([base, , separator]) =>
    COMPRESSIONS.map((compression) => compressed(base, separator, compression) + ENCRYPTED_SUFFIX),
  );
}
