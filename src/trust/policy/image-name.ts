import { parseDigest } from "../../spec/digest.ts";

/** An image's full name: `host[:port]/path[:tag][@digest]`, expanded (`busybox` → `docker.io/library/busybox`). */
export interface ImageName {
  /** `registry.example.com:5000` */
  readonly registry: string;
  /** Path below the registry: `shop/app`. */
  readonly path: string;
  readonly tag: string | undefined;
  /** `sha256:<hex>` */
  readonly digest: string | undefined;
}

const DEFAULT_REGISTRY = "docker.io";
const OFFICIAL = "library/";
/** distribution/reference: `domain`, `path-component`, `tag`; a repository's name has at most 255 characters. */
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
const REGISTRY = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[A-Fa-f0-9:]+\\])(?::[0-9]+)?$`);
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const NAME_CHARS = 255;
/** Docker refuses names that look like image IDs. */
const IMAGE_ID = /^[a-f0-9]{64}$/;

/**
 * A name as Docker's ParseNormalizedNamed reads it; a missing tag stays missing.
 * @returns undefined for what is not a name
 */
export function parseImageName(text: string): ImageName | undefined {
  if (IMAGE_ID.test(text)) return undefined;
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && parseDigest(digest) === undefined) return undefined;
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1);
  // The only colon of "localhost:5000" is a tag's, as in "busybox:1".
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) return undefined;
  const split = splitRegistry(colon < 0 ? named : named.slice(0, colon));
  return split && { ...split, tag, digest };
}

/** `registry.example.com:5000/shop/app` */
export function repositoryOf({ registry, path }: ImageName): string {
  return `${registry}/${path}`;
}

/** `registry.example.com/shop/app:1.0`, as Docker's Named.String() writes it. */
export function formatImageName(name: ImageName): string {
  const tag = name.tag === undefined ? "" : `:${name.tag}`;
  return `${repositoryOf(name)}${tag}${name.digest === undefined ? "" : `@${name.digest}`}`;
}

/** Whether a text is a registry, or a registry and the path of a repository or namespace; nothing is expanded. */
export function isNamePrefix(text: string): boolean {
  const [registry = "", ...path] = text.split("/");
  return REGISTRY.test(registry) && path.every((part) => PATH_COMPONENT.test(part));
}

function splitRegistry(text: string): Pick<ImageName, "registry" | "path"> | undefined {
  const slash = text.indexOf("/");
  const first = text.slice(0, Math.max(slash, 0));
  const hasRegistry = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  const registry = hasRegistry ? first : DEFAULT_REGISTRY;
  const rest = hasRegistry ? text.slice(slash + 1) : text;
  if (!REGISTRY.test(registry) || !rest.split("/").every((part) => PATH_COMPONENT.test(part)))
    return undefined;
  const name = registry === "index.docker.io" ? DEFAULT_REGISTRY : registry;
  const path = name === DEFAULT_REGISTRY && !rest.includes("/") ? OFFICIAL + rest : rest;
  return name.length + 1 + path.length > NAME_CHARS ? undefined : { registry: name, path };
}
