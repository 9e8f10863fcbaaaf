import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { isObject } from "../../encoding/json.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { LIMITS } from "../../limits.ts";
import { type Pkcs11Uri, parsePkcs11Uri } from "./uri.ts";
import { parseYamlMapping } from "./yaml.ts";

/** A PKCS#11 key file: `pkcs11: {uri: "pkcs11:…"}` and `module: {env: {NAME: value}}`. */
export interface TokenKeyFile {
  readonly uri: Pkcs11Uri;
  /** What the module finds in its environment, in addition to the decoder's own. */
  readonly environment: Readonly<Record<string, string>>;
}

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
/**
 * Variables by which the loader, the C library, OpenSSL (which modules are linked with, and whose configuration names
 * libraries to load) or the JavaScript runtime would run other code than the allowed module in the process that loads
 * it. The runtime puts the native part of this program into the folder for temporary files, and loads it from there.
 */
const RUNTIME_VARIABLE =
  /^(?:LD_|DYLD_|GLIBC_|GCONV_|LOCPATH$|MALLOC_|OPENSSL_|NODE_|BUN_|JSC_|UV_|(?:TMPDIR|TMP|TEMP)$)/i;

/** @throws DecoderError BAD_KEY that quotes nothing of it: it may hold a PIN */
export function parseKeyFile(yaml: Uint8Array): TokenKeyFile {
  if (yaml.length > LIMITS.pkcs11FileBytes) throw badFile(`is larger than ${LIMITS.pkcs11FileBytes} bytes`);
  const mapping = parseYamlMapping(Buffer.from(yaml.buffer, yaml.byteOffset, yaml.length).toString("utf8"));
  if (mapping === null) throw badFile("is no well-formed YAML mapping");
  const pkcs11 = mapping["pkcs11"];
  const uri = isObject(pkcs11) ? pkcs11["uri"] : undefined;
  if (typeof uri !== "string") throw badFile("has no pkcs11.uri");
  const module = mapping["module"];
  return {
    uri: parsePkcs11Uri(uri),
    environment: environmentOf(isObject(module) ? module["env"] : undefined),
  };
}

function environmentOf(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === "") return {};
  if (!isObject(value)) throw badFile("has a module.env that is no mapping");
  const environment: Record<string, string> = Object.create(null);
  for (const [name, text] of Object.entries(value)) {
    if (!VARIABLE.test(name)) throw badFile("has a name in module.env that no variable can have");
    if (RUNTIME_VARIABLE.test(name)) throw badFile(`sets ${name} in module.env, which is not allowed`);
    if (typeof text !== "string" || text.includes("\0"))
      throw badFile(`has a module.env.${name} that is no text`);
    environment[name] = text;
  }
  return environment;
}

/**
 * The PIN that the URI holds or names, undefined if neither. A string, as the YAML it came in: PKCS#11 takes no other.
 * @throws DecoderError BAD_KEY
 */
export function readPin({ pinValue, pinSource }: Pkcs11Uri): string | undefined {
  if (pinSource === undefined) return pinValue;
  const path = pinPath(pinSource);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = readSmallFile(path, LIMITS.pkcs11FileBytes);
  } catch (cause) {
    throw new DecoderError("BAD_KEY", `the PIN file ${path} can't be read: ${describeSystemError(cause)}`, {
      cause,
    });
  }
  const pin = Buffer.from(bytes.buffer).toString("utf8");
  bytes.fill(0);
  // Editors and echo end a file with a line break, which no PIN has.
  return pin.replace(/\r?\n$/, "");
}

/** RFC 7512 §2.4: a path or a file's URI (RFC 8089 §2). The other forms, such as "|command", are an implementation's choice. */
function pinPath(pinSource: string): string {
  if (isAbsolute(pinSource)) return pinSource;
  try {
    if (pinSource.startsWith("file:/")) return fileURLToPath(pinSource);
  } catch {
    // Its message quotes the URI.
  }
  throw badFile("has a pin-source that is neither an absolute path nor a file's URI");
}

function badFile(what: string): DecoderError {
  return new DecoderError("BAD_KEY", `the key file ${what}`);
}
