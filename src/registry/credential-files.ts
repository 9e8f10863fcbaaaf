import { readFileSync, statSync } from "node:fs";
import { decodeBase64 } from "../encoding/base64.ts";
import { isObject, type JsonObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { Secret } from "../secret.ts";
import * as LIMITS from "../system-limits.ts";
import type { Credential } from "./host.ts";
import { DOCKER_HUB } from "./name.ts";

/** A file of credentials, as docker, podman and skopeo write it (Docker's config.json, containers-auth.json(5)). */
export interface CredentialFile {
  readonly path: string;
  readonly document: JsonObject;
}

/** What a file names for a repository: an entry of its own, or the helper that has it. */
type FileAnswer =
  | { readonly kind: "entry"; readonly credential: Credential }
  | { readonly kind: "helper"; readonly helper: string };

/** Docker's own key for its hub, and what others write. */
const HUB_KEYS = ["https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io"];
export const HUB_SERVER = "https://index.docker.io/v1/";

/**
 * @returns undefined for a missing file, "unreadable" when this user may not read it
 * @throws DecoderError CONFIG for what is not such a file
 */
export function readCredentialFile(path: string): CredentialFile | "unreadable" | undefined {
  let bytes: Uint8Array;
  try {
    const { size } = statSync(path);
    if (size > LIMITS.authFileBytes)
      throw new DecoderError("LIMIT", `${path} is too long for a file of credentials`);
    bytes = readFileSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    if (errno === "EACCES" || errno === "EPERM") return "unreadable";
    if (error instanceof DecoderError) throw error;
    throw new DecoderError("CONFIG", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
  }
  const document = parseJsonObject(bytes);
  bytes.fill(0);
  if (document === null) throw new DecoderError("CONFIG", `${path} is not a JSON file of credentials`);
  return { path, document };
}

/**
 * What a file has for a repository, in the order that the peers look: the registry's helper, the entry with the longest
 * matching name, the helper of all.
 * @throws DecoderError CONFIG for an entry that can't be read
 */
export function answersOf(
  { path, document }: CredentialFile,
  registry: string,
  repository: string,
): FileAnswer[] {
  const helper = fieldOf(document["credHelpers"], aliasesOf(registry));
  const entry = entryOf(document["auths"], registry, repository);
  const credential = entry && credentialOf(entry, path, registry);
  const store = document["credsStore"];
  return [
    ...(typeof helper === "string" && helper !== "" ? [{ kind: "helper" as const, helper }] : []),
    ...(credential === undefined ? [] : [{ kind: "entry" as const, credential }]),
    ...(typeof store === "string" && store !== "" ? [{ kind: "helper" as const, helper: store }] : []),
  ];
}

function entryOf(auths: unknown, registry: string, repository: string): JsonObject | undefined {
  if (!isObject(auths)) return undefined;
  const parts = repository.split("/");
  for (const alias of aliasesOf(registry)) {
    for (let length = parts.length; length > 0; length -= 1) {
      const entry = fieldOf(auths, [`${alias}/${parts.slice(0, length).join("/")}`]);
      if (isObject(entry)) return entry;
    }
  }
  const exact = fieldOf(auths, aliasesOf(registry));
  if (isObject(exact)) return exact;
  // Docker wrote addresses once: "https://reg.example/v1/".
  const key = Object.keys(auths).find((name) => aliasesOf(registry).includes(normalised(name)));
  const entry = key === undefined ? undefined : auths[key];
  return isObject(entry) ? entry : undefined;
}

/** The host of an old key, which has a scheme or an API's version. Any other path is a repository's, and not the host's. */
function normalised(key: string): string {
  const match = /^https?:\/\/([^/]+)/.exec(key) ?? /^([^/]+)\/v[12]\/?$/.exec(key);
  return match?.[1] ?? key;
}

function aliasesOf(registry: string): string[] {
  return registry === DOCKER_HUB ? [DOCKER_HUB, ...HUB_KEYS] : [registry];
}

function fieldOf(object: unknown, names: readonly string[]): unknown {
  if (!isObject(object)) return undefined;
  const name = names.find((candidate) => Object.hasOwn(object, candidate));
  return name === undefined ? undefined : object[name];
}

/** An empty entry, as `docker logout` and credential stores leave it, is none. */
function credentialOf(entry: JsonObject, origin: string, registry: string): Credential | undefined {
  const { auth, username, password, identitytoken, registrytoken } = entry;
  const pair = isText(auth) ? decodePair(auth, origin, registry) : { username, password };
  const credential = {
    username: typeof pair.username === "string" ? pair.username : "",
    ...(isText(pair.password) && { password: secretOf(pair.password) }),
    ...(isText(identitytoken) && { identityToken: secretOf(identitytoken) }),
    ...(isText(registrytoken) && { registryToken: secretOf(registrytoken) }),
    origin,
  };
  const { password: any, identityToken, registryToken } = credential as Credential;
  return (any ?? identityToken ?? registryToken) ? credential : undefined;
}

function decodePair(auth: string, origin: string, registry: string): { username: string; password: string } {
  const bytes = decodeBase64(auth);
  const text = bytes === null ? "" : new TextDecoder().decode(bytes);
  bytes?.fill(0);
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw new DecoderError(
      "CONFIG",
      `the "auth" of ${registry} in ${origin} is not a user and a password in base64`,
    );
  }
  // Docker pads with zeros.
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, "") };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

export function secretOf(text: string): Secret {
  return new Secret(new TextEncoder().encode(text));
}
