import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isObject } from "../../encoding/json.ts";
import { DecoderError, describeSystemError, errnoOf } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { homeFolder, userId } from "../../process/user.ts";
import * as LIMITS from "../../system-limits.ts";
import type { FoundSignature } from "../found.ts";
import type { ImageName } from "../policy/image-name.ts";
import { scopesOf } from "../policy/scopes.ts";
import { type Findings, reading } from "./attachments.ts";

/** containers-registries.d(5): where GPG signatures of an image are kept, and whether attached ones count. */
export interface RegistriesConfiguration {
  /** URL set by the most specific namespace that sets one; undefined if none does. */
  lookaside(name: ImageName): string | undefined;
  /** Where they are kept if no namespace sets one: a URL or a path. */
  readonly defaultLookaside: string;
  useSigstoreAttachments(name: ImageName): boolean | undefined;
}

/** Where containers/image keeps them when no file says otherwise: as root, and below any other user's home. */
const DEFAULT_LOOKASIDE = "/var/lib/containers/sigstore";
const USERS_LOOKASIDE = ".local/share/containers/sigstore";
const SYSTEM_REGISTRIES_D = "/etc/containers/registries.d";
const USERS_REGISTRIES_D = ".config/containers/registries.d";

/** Comments and empty lines. */
const SAYS_NOTHING = /^(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*(?:#[^\n]*)?$/;

type Namespace = Readonly<Record<string, unknown>>;

/**
 * Reads `*.yaml` of a registries.d folder. A folder that does not exist says nothing.
 * @throws DecoderError CONFIG for a file that can't be read, or a namespace that is given twice
 */
export async function readRegistriesD(
  folder: string,
  defaultLookaside = DEFAULT_LOOKASIDE,
): Promise<RegistriesConfiguration> {
  const namespaces = new Map<string, Namespace>();
  for (const path of yamlFiles(folder)) {
    for (const [name, value] of await namespacesOf(path)) {
      if (namespaces.has(name)) throw bad(path, `${name || "default-docker"} is given twice`);
      namespaces.set(name, value);
    }
  }
  const first = (name: ImageName, fields: readonly string[]) =>
    scopesOf({ transport: "docker", name })
      .flatMap((scope) => fields.map((field) => namespaces.get(scope)?.[field]))
      .find((it) => typeof it === "string" && it !== "") as string | undefined;
  return {
    lookaside: (name) => first(name, ["lookaside", "sigstore"]),
    defaultLookaside,
    useSigstoreAttachments: (name) => {
      const text = first(name, ["use-sigstore-attachments"]);
      return text === undefined ? undefined : text === "true";
    },
  };
}

/**
 * Reads registries.d as this user's containers/image does: the user's own folder replaces the system's.
 * @param folder undefined: the user's or the system's
 * @throws as readRegistriesD
 */
export async function readUsersRegistriesD(
  folder: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<RegistriesConfiguration> {
  const home = homeFolder(environment);
  const own = join(home, USERS_REGISTRIES_D);
  const lookaside = userId() === 0 ? DEFAULT_LOOKASIDE : join(home, USERS_LOOKASIDE);
  return await readRegistriesD(folder ?? (existsSync(own) ? own : SYSTEM_REGISTRIES_D), lookaside);
}

/**
 * GPG signatures of an image: `<lookaside>/<path>@sha256=<hex>/signature-<n>`, counted from 1 until one is missing.
 */
export async function findInLookaside(
  registries: Pick<RegistriesConfiguration, "lookaside" | "defaultLookaside">,
  name: ImageName,
  digest: string,
): Promise<Findings> {
  const lookaside = registries.lookaside(name);
  const base = lookaside ?? registries.defaultLookaside;
  return await reading(base, async () => {
    const folder = join(folderOf(base), `${name.path}@${digest.replace(":", "=")}`);
    const found: FoundSignature[] = [];
    for (let number = 1; number <= LIMITS.signatures; number++) {
      const where = join(folder, `signature-${number}`);
      const message = readOptional(where, lookaside === undefined ? ABSENT_BY_DEFAULT : ABSENT);
      if (message === undefined) break;
      found.push({ form: "gpg", where, message });
    }
    return found;
  });
}

/** @throws DecoderError CONFIG */
function folderOf(lookaside: string): string {
  if (lookaside.startsWith("/")) return lookaside;
  try {
    return fileURLToPath(lookaside);
  } catch (cause) {
    throw new DecoderError("CONFIG", `the lookaside ${lookaside} is not a folder`, {
      cause,
      hint: "only file: addresses are read: copy the signatures to a folder of the node",
    });
  }
}

const ABSENT: ReadonlySet<string | undefined> = new Set(["ENOENT"]);
/** containers/image keeps its default folder for root. Other users may not enter it, and no file says that they should. */
const ABSENT_BY_DEFAULT: ReadonlySet<string | undefined> = new Set([...ABSENT, "EACCES"]);

function readOptional(path: string, absent: ReadonlySet<string | undefined>): Uint8Array | undefined {
  try {
    return readSmallFile(path, LIMITS.signatureBytes);
  } catch (cause) {
    if (absent.has(errnoOf(cause))) return undefined;
    throw new DecoderError("IO", `can't read ${path}: ${describeSystemError(cause)}`, { cause });
  }
}

function yamlFiles(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".yaml"))
      .sort()
      .map((name) => join(folder, name));
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") return [];
    throw bad(folder, describeSystemError(cause));
  }
}

/** `default-docker` is the namespace "". */
async function namespacesOf(path: string): Promise<[string, Namespace][]> {
  const [value = {}] = await parse(path);
  if (!isObject(value)) throw bad(path, "it is not a mapping");
  const { "default-docker": fallback, docker = {} } = value;
  if (!isObject(docker)) throw bad(path, "docker is not a mapping");
  const all = [...Object.entries(docker), ...(fallback === undefined ? [] : [["", fallback] as const])];
  return all.map(([name, namespace]) => {
    if (!isObject(namespace)) throw bad(path, `${name || "default-docker"} is not a mapping`);
    return [name, namespace];
  });
}

async function parse(path: string): Promise<readonly unknown[]> {
  try {
    const bytes = readSmallFile(path, LIMITS.configBytes);
    // The file that distributions install holds comments and an empty mapping. The parser takes longer than a whole check.
    if (SAYS_NOTHING.test(Buffer.from(bytes).toString("latin1"))) return [];
    return (await import("../../encoding/yaml.ts")).parseYaml(bytes);
  } catch (cause) {
    throw bad(path, cause instanceof SyntaxError ? `it is ${cause.message}` : describeSystemError(cause));
  }
}

function bad(path: string, why: string): DecoderError {
  return new DecoderError("CONFIG", `can't use ${path}: ${why}`);
}
