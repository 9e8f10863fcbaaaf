import { isObject } from "../encoding/json.ts";
import { parseYaml } from "../encoding/yaml.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import type { KeySet } from "../keys/keyset.ts";
import * as LIMITS from "../system-limits.ts";

/** Binds keys of the node's folder to the repositories whose layers they may open. */
interface KeyScope {
  /** Pattern of files below the keys folder: "tenant-a/**". */
  readonly keys: string;
  /** Patterns of repositories, the host without a port: "registry.example.com/tenant-a/*". */
  readonly repositories: readonly string[];
}

const FIELDS = new Set(["keys", "repositories"]);

/** @throws DecoderError CONFIG: a scope that is not understood must not be left out */
export function readScopes(path: string): KeyScope[] {
  let documents: readonly unknown[];
  try {
    documents = parseYaml(readSmallFile(path, LIMITS.configBytes));
  } catch (error) {
    throw wrong(path, describeSystemError(error));
  }
  const [list, ...more] = documents;
  if (!Array.isArray(list) || more.length > 0) throw wrong(path, "it is not a list of scopes");
  return list.map((it, i) => scopeOf(path, it, i + 1));
}

function scopeOf(path: string, value: unknown, position: number): KeyScope {
  const { keys, repositories } = isObject(value) ? value : {};
  const isKnown = isObject(value) && Object.keys(value).every((name) => FIELDS.has(name));
  if (
    !isKnown ||
    typeof keys !== "string" ||
    keys === "" ||
    !Array.isArray(repositories) ||
    !repositories.every(isRepository)
  )
    throw wrong(
      path,
      `scope ${position} needs keys (a pattern) and repositories (a list of patterns such as host/team/*)`,
    );
  return { keys, repositories };
}

function isRepository(value: unknown): value is string {
  return typeof value === "string" && /^[^/\s:]+(?:\/[^/\s:]+)+$/.test(value);
}

/**
 * Keys that may open a layer of these repositories. A key that no scope names is as free as without scopes. A key that
 * scopes name needs every repository in one of them: a blob that a stranger's repository shares is not in scope.
 * @param repositories as containerd labels the layer: "registry.example.com/tenant-a/app"
 */
export function keysInScope(
  keys: KeySet,
  scopes: readonly KeyScope[],
  repositories: readonly string[],
): KeySet {
  const isInScope = ({ origin }: { readonly origin: string }) => {
    const own = scopes.filter((scope) => matches(scope.keys, origin));
    if (own.length === 0) return true;
    const patterns = own.flatMap((scope) => scope.repositories);
    return (
      repositories.length > 0 && repositories.every((it) => patterns.some((pattern) => matches(pattern, it)))
    );
  };
  const { parameters, skipped, advice } = keys;
  // By name, so that the compiler asks here for each new part of a key set: with ...keys, it would escape the scopes.
  return {
    parameters,
    skipped,
    ...(advice !== undefined && { advice }),
    keys: keys.keys.filter(isInScope),
    certificates: keys.certificates.filter(isInScope),
    keyrings: keys.keyrings.filter(isInScope),
    tokenKeys: keys.tokenKeys.filter(isInScope),
  };
}

/** Compares segment by segment: `*` stands for one segment, `**` for any number of them, and for nothing less. */
export function matches(pattern: string, path: string): boolean {
  return matchSegments(pattern.split("/"), path.split("/"));
}

function matchSegments([first, ...pattern]: readonly string[], path: readonly string[]): boolean {
  if (first === undefined) return path.length === 0;
  // `**` is taken at the end only, so that matching needs no search.
  if (first === "**" && pattern.length === 0) return path.length > 0;
  const [segment, ...rest] = path;
  return segment !== undefined && (first === "*" || first === segment) && matchSegments(pattern, rest);
}

function wrong(path: string, why: string): DecoderError {
  return new DecoderError("CONFIG", `can't use the key scopes in ${path}: ${why}`);
}
