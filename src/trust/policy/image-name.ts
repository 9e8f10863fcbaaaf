import { DecoderError } from "../../errors.ts";
import { parseName, type RegistryName, repositoryName } from "../../registry/name.ts";

/** An image's full name as policies compare it: expanded like a registry's, but a missing tag stays missing. */
export interface ImageName {
  /** `registry.example.com:5000` */
  readonly registry: string;
  /** Path below the registry: `shop/app`. */
  readonly path: string;
  readonly tag: string | undefined;
  /** `sha256:<hex>` */
  readonly digest: string | undefined;
}

/** Docker refuses names that look like image IDs. */
const IMAGE_ID = /^[a-f0-9]{64}$/;
const DEFAULT_TAG = "latest";
/** distribution/reference: `domain` and `path-component`. */
const DOMAIN =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[A-Fa-f0-9:]+\])(?::[0-9]+)?$/;
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;

/** A name as Docker's ParseNormalizedNamed reads it. @returns undefined for what is not a name */
export function parseImageName(text: string): ImageName | undefined {
  if (IMAGE_ID.test(text)) return undefined;
  try {
    const name = parseName(text);
    const isWritten = name.digest !== undefined || text.endsWith(`:${name.tag}`);
    return imageName({ ...name, tag: isWritten ? name.tag : undefined });
  } catch (error) {
    if (error instanceof DecoderError) return undefined;
    throw error;
  }
}

/** The name that policies see for what is pulled. As for containerd, a tag beside a digest says nothing. */
export function pulledName(name: RegistryName): ImageName {
  return imageName({ ...name, tag: name.digest === undefined ? (name.tag ?? DEFAULT_TAG) : undefined });
}

function imageName(name: Omit<RegistryName, "tag"> & { readonly tag: string | undefined }): ImageName {
  return { registry: name.registry, path: name.repository, tag: name.tag, digest: name.digest };
}

/** `registry.example.com:5000/shop/app` */
export function repositoryOf({ registry, path }: ImageName): string {
  return repositoryName({ registry, repository: path });
}

/** `registry.example.com/shop/app:1.0`, as Docker's Named.String() writes it. */
export function formatImageName(name: ImageName): string {
  const tag = name.tag === undefined ? "" : `:${name.tag}`;
  return `${repositoryOf(name)}${tag}${name.digest === undefined ? "" : `@${name.digest}`}`;
}

/** Whether a text is a registry, or a registry and the path of a repository or namespace; nothing is expanded. */
export function isNamePrefix(text: string): boolean {
  const [registry = "", ...path] = text.split("/");
  return DOMAIN.test(registry) && path.every((part) => PATH_COMPONENT.test(part));
}
