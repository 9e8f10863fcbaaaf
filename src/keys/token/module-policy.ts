import { arch } from "node:os";
import { isAbsolute, join } from "node:path";
import { isObject } from "../../encoding/json.ts";
import { DecoderError, describeSystemError, errnoOf } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import type { Parameters } from "../keyset.ts";
import { parseYamlMapping } from "./key-file.ts";

/** Which PKCS#11 modules may be loaded. The peers' format: `module-directories` and `allowed-module-paths`. */
export interface ModulePolicy {
  /** For messages: "OCICRYPT_CONFIG=internal", a path, "the payload's pkcs11-config". */
  readonly origin: string;
  /** Absolute directories that are searched for a `module-name`, in this order. */
  readonly directories: readonly string[];
  /** Absolute paths of modules, and of directories (ending in "/") whose entries are allowed. An empty list allows nothing. */
  readonly allowed: readonly string[];
}

const VARIABLE = "OCICRYPT_CONFIG";
const INTERNAL = "internal";
const FILE = "ocicrypt.conf";
const PARAMETER = "pkcs11-config";

/** Node's name of an architecture → Debian's multiarch tuple. */
const MULTIARCH: ReadonlyMap<string, string> = new Map([
  ["x64", "x86_64-linux-gnu"],
  ["arm64", "aarch64-linux-gnu"],
  ["ppc64", "powerpc64le-linux-gnu"],
  ["s390x", "s390x-linux-gnu"],
  ["riscv64", "riscv64-linux-gnu"],
]);

/** Folders where distributions install modules. Only root may write there. */
function distributionDirectories(): string[] {
  const multiarch = MULTIARCH.get(arch());
  const debian = multiarch === undefined ? [] : [`/usr/lib/${multiarch}/`, `/usr/lib/${multiarch}/pkcs11/`];
  return ["/usr/lib64/pkcs11/", "/usr/lib/pkcs11/", "/usr/local/lib/pkcs11/", "/usr/lib/softhsm/", ...debian];
}

/**
 * Loads this machine's policy and the payload's. Each of them must allow a module. The peers apply the payload's alone, but a
 * client must not allow what this machine forbids.
 * @throws DecoderError PKCS11 if no policy exists, or one can't be read
 */
export function loadPolicies(
  environment: Readonly<Record<string, string | undefined>>,
  parameters: Parameters,
): readonly ModulePolicy[] {
  const policies = [hostPolicy(environment), payloadPolicy(parameters)].filter((policy) => policy !== null);
  if (policies.length > 0) return policies;
  throw new DecoderError("PKCS11", `no PKCS#11 module is allowed: ${VARIABLE} is not set`, {
    hint: `set ${VARIABLE}=${INTERNAL} to allow the distribution's modules, or to a file that lists the allowed ones`,
  });
}

function payloadPolicy(parameters: Parameters): ModulePolicy | null {
  const bytes = parameters.get(PARAMETER)?.find((value) => value !== null && value.length > 0);
  return bytes ? parsePolicy(bytes, `the payload's ${PARAMETER}`, (mapping) => mapping) : null;
}

/** Searches where the peers do, but never relative to the working directory, which is containerd's or anybody's. */
function hostPolicy(environment: Readonly<Record<string, string | undefined>>): ModulePolicy | null {
  const named = environment[VARIABLE];
  if (named === INTERNAL) {
    const directories = distributionDirectories();
    return { origin: `${VARIABLE}=${INTERNAL}`, directories, allowed: directories };
  }
  if (named !== undefined && named !== "") {
    if (!isAbsolute(named)) throw badPolicy(VARIABLE, "names a file by a relative path");
    const policy = readPolicy(named);
    if (policy === null) throw badPolicy(named, `does not exist, but ${VARIABLE} names it`);
    return policy;
  }
  const { XDG_CONFIG_HOME, HOME } = environment;
  for (const folder of [XDG_CONFIG_HOME, HOME && join(HOME, ".config"), "/etc"]) {
    const policy = folder && isAbsolute(folder) ? readPolicy(join(folder, FILE)) : null;
    if (policy !== null) return policy;
  }
  return null;
}

/** Null for a missing file. */
function readPolicy(path: string): ModulePolicy | null {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = readSmallFile(path, LIMITS.pkcs11FileBytes);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR") return null;
    throw badPolicy(path, `can't be read: ${describeSystemError(cause)}`);
  }
  return parsePolicy(bytes, path, (mapping) => mapping["pkcs11"]);
}

function parsePolicy(
  bytes: Uint8Array<ArrayBuffer>,
  origin: string,
  part: (mapping: Readonly<Record<string, unknown>>) => unknown,
): ModulePolicy {
  if (bytes.length > LIMITS.pkcs11FileBytes)
    throw badPolicy(origin, `is larger than ${LIMITS.pkcs11FileBytes} bytes`);
  const mapping = parseYamlMapping(bytes);
  const lists = mapping && part(mapping);
  if (!isObject(lists)) throw badPolicy(origin, "is not a YAML mapping with the lists of modules");
  return {
    origin,
    directories: pathList(lists, "module-directories", origin),
    allowed: pathList(lists, "allowed-module-paths", origin),
  };
}

function pathList(lists: Readonly<Record<string, unknown>>, name: string, origin: string): readonly string[] {
  const paths = textList(lists[name]);
  if (paths === null || !paths.every(isAbsolute))
    throw badPolicy(origin, `has a ${name} that is not a list of absolute paths`);
  return paths;
}

/** A list of texts, empty when absent; null for anything else. */
function textList(value: unknown): readonly string[] | null {
  if (value === undefined || value === "") return [];
  if (!Array.isArray(value)) return null;
  return value.every((entry) => typeof entry === "string") ? value : null;
}

function badPolicy(origin: string, what: string): DecoderError {
  return new DecoderError("PKCS11", `${origin} ${what}`);
}
