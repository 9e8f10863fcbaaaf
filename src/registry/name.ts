import { DecoderError } from "../errors.ts";
import { parseDigest } from "../spec/digest.ts";

/** An image in a registry: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, with Docker's defaults filled in. */
export interface RegistryName {
  /** Host and perhaps port: "docker.io", "127.0.0.1:5000", "[::1]:5000". */
  readonly registry: string;
  /** "library/alpine" */
  readonly repository: string;
  /** Absent only beside a digest. */
  readonly tag?: string;
  /** `sha256:<hex>`. If present, requests use it instead of the tag. */
  readonly digest?: string;
}

export const DOCKER_HUB = "docker.io";
const DEFAULT_TAG = "latest";
/** Docker's other name for its hub, in names and in files of credentials. */
const HUB_ALIAS = "index.docker.io";
/** The hub's official images: `docker.io/alpine` means `docker.io/library/alpine`. */
const HUB_NAMESPACE = "library";

/** The grammar of github.com/distribution/reference; a port has at most five digits. */
const DOMAIN_PART = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
const HOST = new RegExp(`^(?:${DOMAIN_PART}(?:\\.${DOMAIN_PART})*|\\[[0-9A-Fa-f:]+\\])(?::[0-9]{1,5})?$`);
const PATH_PART = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
/** Of host and path together. */
const NAME_CHARS = 255;
/** Longer texts are refused before anything is parsed: a name, a tag and the longest digest. */
const REFERENCE_CHARS = NAME_CHARS + 1 + 128 + 1 + 136;

/** @param text without `docker://`. @throws DecoderError USAGE */
export function parseName(text: string): RegistryName {
  if (text.length > REFERENCE_CHARS) throw bad(text, "it is too long");
  if (/^[a-z]+:\/\//.test(text))
    throw bad(text, "it has a scheme", "write HOST/PATH:TAG without http:// or https://");
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && parseDigest(digest) === undefined)
    throw bad(text, "what follows @ is not a digest");
  const [named, tag] = cutTag(at < 0 ? text : text.slice(0, at));
  if (tag !== undefined && !TAG.test(tag)) throw bad(text, `"${tag.slice(0, 128)}" is not a tag`);
  const { registry, repository } = splitHost(named, text);
  if (registry.length + 1 + repository.length > NAME_CHARS)
    throw bad(text, `it has more than ${NAME_CHARS} characters`);
  return {
    registry,
    repository,
    ...(tag !== undefined ? { tag } : digest === undefined && { tag: DEFAULT_TAG }),
    ...(digest !== undefined && { digest }),
  };
}

export function isTag(value: unknown): value is string {
  return typeof value === "string" && TAG.test(value);
}

/** The reference in a request: the digest if the name has one, otherwise the tag. */
export function referenceOf({ tag, digest }: RegistryName): string {
  return digest ?? tag ?? DEFAULT_TAG;
}

/** "reg.example/app", in messages. */
export function repositoryName({ registry, repository }: RegistryName): string {
  return `${registry}/${repository}`;
}

/** The name with its defaults: "docker.io/library/alpine:latest". */
export function formatName(name: RegistryName): string {
  const tag = name.tag === undefined ? "" : `:${name.tag}`;
  return `${repositoryName(name)}${tag}${name.digest === undefined ? "" : `@${name.digest}`}`;
}

/** The name as the user wrote it, with the default tag added. */
export function formatWritten(text: string, { tag, digest }: RegistryName): string {
  const hasTag = tag === undefined || digest !== undefined || cutTag(text)[1] !== undefined;
  return hasTag ? text : `${text}:${tag}`;
}

/** A colon that follows the last slash begins the tag; before that it begins a port. */
function cutTag(text: string): [name: string, tag: string | undefined] {
  const colon = text.indexOf(":", text.lastIndexOf("/") + 1);
  return colon < 0 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
}

function splitHost(named: string, text: string): Pick<RegistryName, "registry" | "repository"> {
  const slash = named.indexOf("/");
  const first = named.slice(0, Math.max(slash, 0));
  const isHost = /[.:A-Z]/.test(first) || first === "localhost";
  const path = isHost ? named.slice(slash + 1) : named;
  if (path === "") throw bad(text, "it has no path");
  const wrong = path.split("/").find((part) => !PATH_PART.test(part));
  if (wrong !== undefined) {
    throw bad(text, `"${wrong.slice(0, NAME_CHARS)}" is not a part of a repository's name`);
  }
  if (!isHost) return { registry: DOCKER_HUB, repository: inHub(path) };
  if (!HOST.test(first) || !isReachable(first))
    throw bad(text, `"${first.slice(0, NAME_CHARS)}" is not a host`);
  const registry = first.toLowerCase() === HUB_ALIAS ? DOCKER_HUB : first;
  return { registry, repository: registry === DOCKER_HUB ? inHub(path) : path };
}

function inHub(path: string): string {
  return path.includes("/") ? path : `${HUB_NAMESPACE}/${path}`;
}

/** Whether a URL can hold a host that has the grammar of one: "999.1.1.1:80", "[::::]" and "reg.example:0" do not pass. */
function isReachable(host: string): boolean {
  const url = URL.parse(`https://${host}/`);
  return url !== null && url.port !== "0";
}

function bad(text: string, why: string, hint?: string): DecoderError {
  return new DecoderError(
    "USAGE",
    `"${text.slice(0, NAME_CHARS)}" is not the name of an image in a registry: ${why}`,
    {
      hint: hint ?? "a name is HOST[:PORT]/PATH[:TAG], with the path in lower case",
    },
  );
}
