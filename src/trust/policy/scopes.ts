import { posix } from "node:path";
import { parseDigest } from "../../spec/digest.ts";
import { formatImageName, type ImageName, repositoryOf } from "./image-name.ts";
import type { ImagePlace } from "./policy.ts";

/** Transports whose scopes are folders. */
const FOLDERS: ReadonlySet<string> = new Set(["oci", "oci-archive", "dir"]);
/** Transports that take no scope but the empty one. */
const SCOPELESS: ReadonlySet<string> = new Set(["docker-archive", "tarball"]);

/** The scopes that can hold an image, the most specific first, ending with "" (containers-policy.json(5)). */
export function scopesOf(place: ImagePlace): string[] {
  return [...(place.transport === "docker" ? scopesOfName(place.name) : foldersAbove(place.path)), ""];
}

function scopesOfName(name: ImageName): string[] {
  const scopes = [formatImageName(name)];
  let scope = repositoryOf(name);
  for (; scope.includes("/"); scope = scope.slice(0, scope.lastIndexOf("/"))) scopes.push(scope);
  scopes.push(scope);
  // containers/image cuts at the first colon, of an IPv6 address as well.
  let domain = scope.split(":")[0] ?? "";
  for (let dot = domain.indexOf("."); dot >= 0; dot = domain.indexOf(".")) {
    domain = domain.slice(dot + 1);
    scopes.push(`*.${domain}`);
  }
  return scopes;
}

function foldersAbove(path: string): string[] {
  const folders: string[] = [];
  for (let folder = path; folder.length > 1; folder = posix.dirname(folder)) folders.push(folder);
  return folders;
}

/** What is wrong with a scope, as containers/image sees it; it takes any for registries. */
export function scopeProblem(transport: string, scope: string): string | undefined {
  if (SCOPELESS.has(transport)) return `${transport} takes no scope but ""`;
  if (transport === "docker-daemon" && parseDigest(scope) !== undefined) return "a digest is not a scope";
  if (!FOLDERS.has(transport)) return undefined;
  // Go's filepath.Clean leaves such a path as it is.
  const isClean = scope.startsWith("/") && !scope.endsWith("/") && posix.normalize(scope) === scope;
  return isClean ? undefined : "it is not the absolute path of a folder below /";
}
