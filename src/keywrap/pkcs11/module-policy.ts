import { arch } from "node:os";
import { isAbsolute, join } from "node:path";
import { isObject } from "../../encoding/json.ts";
import { DecoderError, describeSystemError, errnoOf } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import type { Parameters } from "../../keys/keyset.ts";
import { LIMITS } from "../../limits.ts";
import { parseYamlMapping, textList } from "./yaml.ts";

/** Which PKCS#11 modules may be loaded. The peers' format: `module-directories` and `allowed-module-paths`. */
export interface ModulePolicy {
  /** For messages: "OCICRYPT_CONFIG=internal", a path, "the payload's pkcs11-config". */
  readonly origin: string;
  /** Where a `module-name` is looked for, in this order. Absolute. */
  readonly directories: readonly string[];
  /** Absolute paths of modules, and of directories (ending in "/") whose entries are allowed. Empty allows nothing. */
  readonly allowed: readonly string[];
}

const VARIABLE = "OCICRYPT_CONFIG";
const INTERNAL = "internal";
const FILE = "ocicrypt.conf";
const PARAMETER = "pkcs11-config";

/** Debian's names of the architectures (multiarch tuples). */
const MULTIARCH: ReadonlyMap<string, string> = new Map([
  ["x64", "x86_64-linux-gnu"],
  ["arm64", "aarch64-linux-gnu"],
  ["ppc64", "powerpc64le-linux-gnu"],
  ["s390x", "s390x-linux-gnu"],
  ["riscv64", "riscv64-linux-gnu"],
]);

/** The folders where distributions keep modules; only root writes there. */
function distributionDirectories(): string[] {
  const multiarch = MULTIARCH.get(arch());
  const debian = multiarch === undefined ? [] : [`/usr/lib/${multiarch}/`, `/usr/lib/${multiarch}/pkcs11/`];
  return ["/usr/lib64/pkcs11/", "/usr/lib/pkcs11/", "/usr/local/lib/pkcs11/", "/usr/lib/softhsm/", ...debian];
}

/**
 * The policies in force, every one of which has to allow a module: this machine's, and the one that came with the
 * payload. The peers heed the payload's alone; but what is forbidden here is no client's to allow.
 * @throws DecoderError PKCS11 when a policy can't be read, or there is none
 */
export function loadPolicies(
  environment: Readonly<Record<string, string | undefined>>,
  parameters: Parameters,
): readonly ModulePolicy[] {
  const policies = [hostPolicy(environment), payloadPolicy(parameters)].filter((policy) => policy !== null);
  if (policies.length > 0) return policies;
  throw new DecoderError("PKCS11", `no PKCS#11 module is allowed: ${VARIABLE} is not set`, {
    hint: `set ${VARIABLE} to "${INTERNAL}" for the modules of the distribution, or to a file with a list`,
  });
}

function payloadPolicy(parameters: Parameters): ModulePolicy | null {
  const bytes = parameters.get(PARAMETER)?.find((value) => value !== null && value.length > 0);
  return bytes ? parsePolicy(bytes, `the payload's ${PARAMETER}`, (mapping) => mapping) : null;
}

/** Where the peers look, but never relative to the working directory: that is containerd's, or anybody's. */
function hostPolicy(environment: Readonly<Record<string, string | undefined>>): ModulePolicy | null {
  const named = environment[VARIABLE];
  if (named === INTERNAL) {
    const directories = distributionDirectories();
    return { origin: `${VARIABLE}=${INTERNAL}`, directories, allowed: directories };
  }
  if (named !== undefined && named !== "") {
    if (!isAbsolute(named)) throw badPolicy(VARIABLE, "names a file by a path that is not absolute");
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

/** null when there is no such file. */
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
  const mapping = parseYamlMapping(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"),
  );
  const lists = mapping && part(mapping);
  if (!isObject(lists)) throw badPolicy(origin, "is no YAML mapping with the lists of modules");
  return {
    origin,
    directories: pathList(lists, "module-directories", origin),
    allowed: pathList(lists, "allowed-module-paths", origin),
  };
}

function pathList(lists: Readonly<Record<string, unknown>>, name: string, origin: string): readonly string[] {
  const paths = textList(lists[name]);
  if (paths === null || !paths.every(isAbsolute))
    throw badPolicy(origin, `has a ${name} that is no list of absolute paths`);
  return paths;
}

function badPolicy(origin: string, what: string): DecoderError {
  return new DecoderError("PKCS11", `${origin} ${what}`);
}
