import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { isObject } from "../../encoding/json.ts";
import { parseYaml } from "../../encoding/yaml.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import { type Pkcs11Uri, parsePkcs11Uri } from "./uri.ts";

/** A PKCS#11 key file: `pkcs11: {uri: "pkcs11:…"}` and `module: {env: {NAME: value}}`. */
export interface TokenKeyFile {
  readonly uri: Pkcs11Uri;
  /** Environment variables of the module, in addition to the decoder's own. */
  readonly environment: Readonly<Record<string, string>>;
}

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
/**
 * Variables that make the process run code other than the allowed module. They belong to the loader, the C library, OpenSSL
 * (whose configuration names libraries to load) and the JavaScript runtime. The runtime loads this program's native part
 * from the folder for temporary files.
 */
const RUNTIME_VARIABLE =
  /^(?:LD_|DYLD_|GLIBC_|GCONV_|LOCPATH$|MALLOC_|OPENSSL_|NODE_|BUN_|JSC_|UV_|(?:TMPDIR|TMP|TEMP)$)/i;

/** @throws DecoderError BAD_KEY, which quotes nothing of the file: it may hold a PIN */
export function parseKeyFile(yaml: Uint8Array): TokenKeyFile {
  if (yaml.length > LIMITS.pkcs11FileBytes) throw badFile(`is larger than ${LIMITS.pkcs11FileBytes} bytes`);
  const mapping = parseYamlMapping(yaml);
  if (mapping === null) throw badFile("is not a well-formed YAML mapping");
  const pkcs11 = mapping["pkcs11"];
  const uri = isObject(pkcs11) ? pkcs11["uri"] : undefined;
  if (typeof uri !== "string") throw badFile("has no text at pkcs11.uri");
  const module = mapping["module"];
  return {
    uri: parsePkcs11Uri(uri),
    environment: environmentOf(isObject(module) ? module["env"] : undefined),
  };
}

function environmentOf(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === "") return {};
  if (!isObject(value)) throw badFile("has a module.env that is not a mapping");
  const environment: Record<string, string> = Object.create(null);
  for (const [name, text] of Object.entries(value)) {
    if (!VARIABLE.test(name)) throw badFile("has an invalid variable name in module.env");
    if (RUNTIME_VARIABLE.test(name)) throw badFile(`sets ${name} in module.env, which is not allowed`);
    if (typeof text !== "string" || text.includes("\0"))
      throw badFile(`has a module.env.${name} that is not a text`);
    environment[name] = text;
  }
  return environment;
}

/**
 * Returns the PIN that the URI holds, or reads it from the file that the URI names. Undefined when it does neither. The PIN is
 * a string, which can't be zeroed, because the YAML parser and the PKCS#11 binding take only strings.
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
  // Editors and `echo` end a file with a line break. No PIN has one.
  return pin.replace(/\r?\n$/, "");
}

/** RFC 7512 §2.4: a path or a file URI (RFC 8089 §2). Other forms, such as "|command", are optional and refused. */
function pinPath(pinSource: string): string {
  if (isAbsolute(pinSource)) return pinSource;
  try {
    if (pinSource.startsWith("file:/")) return fileURLToPath(pinSource);
  } catch {
    // The error's message quotes the URI, so it is dropped.
  }
  throw badFile("has a pin-source that is neither an absolute path nor a file URI");
}

/** Parses a YAML mapping, the first document of a text. Null for anything else. Every scalar is text. */
export function parseYamlMapping(yaml: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const [first] = parseYaml(yaml);
    return isObject(first) ? first : null;
  } catch {
    return null;
  }
}

function badFile(what: string): DecoderError {
  return new DecoderError("BAD_KEY", `the key file ${what}`);
}
