import { isAbsolute } from "node:path";
import { goField, isObject, type JsonObject, parseJsonObject } from "../../encoding/json.ts";
import { DecoderError, describeSystemError, type ErrorDetails } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import * as LIMITS from "../../limits.ts";
import { printable } from "../../text.ts";
import type { SchemeSettings } from "../scheme.ts";

/** A program that reads the request on stdin and answers on stdout. */
export interface CommandProvider {
  readonly kind: "command";
  readonly name: string;
  /** An absolute path, or a bare name to find on PATH. */
  readonly path: string;
  readonly args: readonly string[];
}

export interface GrpcProvider {
  readonly kind: "grpc";
  readonly name: string;
  /** "host:port", "unix:///path". */
  readonly target: string;
  /** Undefined for a connection without encryption. */
  readonly tls: TlsOptions | undefined;
}

/** `grpc-tls`. The paths are absolute. */
export interface TlsOptions {
  readonly rootCaFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly serverName: string | undefined;
  readonly insecureSkipVerify: boolean;
}

export type Provider = CommandProvider | GrpcProvider;

/** Why a provider's name is not configured, and what to do about it. */
interface NoProvider {
  readonly kind: "none";
  readonly reason: string;
  readonly hint: string;
}

const VARIABLE = "OCICRYPT_KEYPROVIDER_CONFIG";
/** Longest text of a provider in a message. */
export const DETAIL_BYTES = 1024;

/**
 * Finds the operator's configuration of a provider, or the reason why it is missing. Reads that provider's entry only, so that
 * a mistake in another one does no harm.
 * @throws DecoderError CONFIG when the file or the entry can't be used
 */
export function findProvider(
  name: string,
  environment: SchemeSettings["environment"],
): Provider | NoProvider {
  const file = environment[VARIABLE];
  if (!file) {
    const hint = `only the key provider "${inWords(name)}" opens it: set ${VARIABLE} to a file that configures it`;
    return { kind: "none", reason: `${VARIABLE} is not set, so there are no key providers`, hint };
  }
  const providers = goField(readConfiguration(file), "key-providers") ?? {};
  if (!isObject(providers)) throw mistake(file, "key-providers", "is not an object");
  const entry = entryFor(name, providers);
  if (entry === undefined) {
    const hint = `only the key provider "${inWords(name)}" opens it: add it to key-providers in ${file}`;
    return { kind: "none", reason: `${file} has no such key provider`, hint };
  }
  return new EntryReader(file, entry, providers[entry]).provider();
}

/** The entry for names without an entry of their own. Go reads it as a provider that no name selects. */
export const CATCH_ALL = "*";

/**
 * The entry for a provider's name: its own, else one that lists the name in `aliases`, else the catch-all. Providers are renamed,
 * but the images that were encrypted before keep the old name. Only the administrator's entries are ever asked.
 */
function entryFor(name: string, providers: JsonObject): string | undefined {
  if (name !== CATCH_ALL && Object.hasOwn(providers, name)) return name;
  const renamed = Object.keys(providers).find((entry) => {
    const aliases = goField(providers[entry], "aliases");
    return Array.isArray(aliases) && aliases.includes(name);
  });
  return renamed ?? (Object.hasOwn(providers, CATCH_ALL) ? CATCH_ALL : undefined);
}

function readConfiguration(file: string): JsonObject {
  // The decoder's working directory is containerd's, which is arbitrary.
  if (!isAbsolute(file)) {
    throw new DecoderError("CONFIG", `${VARIABLE} names the relative path ${file}`, {
      hint: "give the absolute path of the key provider configuration",
    });
  }
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(file, LIMITS.keyFileBytes);
  } catch (error) {
    throw new DecoderError(
      "CONFIG",
      `can't read ${file}, named by ${VARIABLE}: ${describeSystemError(error)}`,
      { hint: `create ${file} with the key providers, or correct ${VARIABLE}` },
    );
  }
  const json = parseJsonObject(bytes);
  if (json === null)
    throw new DecoderError("CONFIG", `the key provider configuration ${file} is not a JSON object`);
  return json;
}

/** A provider's failure. @param what the predicate: "ended with exit code 5" */
export function providerError(name: string, what: string, details: ErrorDetails = {}): DecoderError {
  return new DecoderError("PROVIDER", `the key provider "${inWords(name)}" ${what}`, details);
}

/** A provider's own words for a message, on one line. */
export function inWords(text: string): string {
  return printable(text, DETAIL_BYTES).replace(/\s+/g, " ").trim();
}

function mistake(file: string, place: string, what: string): DecoderError {
  return new DecoderError("CONFIG", `in the key provider configuration ${file}, ${place} ${what}`);
}

/** Reads one entry by Go's rules: null counts as absent, and unknown fields are ignored. */
class EntryReader {
  readonly #file: string;
  readonly #name: string;
  readonly #entry: unknown;

  constructor(file: string, name: string, entry: unknown) {
    this.#file = file;
    this.#name = name;
    this.#entry = entry;
  }

  /** Reads `cmd`, or else `grpc`, as Go does. */
  provider(): Provider {
    const command = this.#object("cmd", goField(this.#entry, "cmd"));
    if (command !== undefined) return this.#command(command);
    const target = this.#text("grpc", goField(this.#entry, "grpc"));
    if (target === undefined) throw this.#mistake("", 'has neither "cmd" nor "grpc"');
    const tls = this.#object("grpc-tls", goField(this.#entry, "grpc-tls"));
    return { kind: "grpc", name: this.#name, target, tls: tls && this.#tls(tls) };
  }

  #command(command: object): CommandProvider {
    const path = this.#text("cmd.path", goField(command, "path"));
    if (path === undefined) throw this.#mistake("cmd.path", "is missing");
    if (path.includes("/") && !isAbsolute(path)) throw this.#mistake("cmd.path", "is relative");
    const args = goField(command, "args") ?? [];
    if (!Array.isArray(args)) throw this.#mistake("cmd.args", "is not a list");
    return {
      kind: "command",
      name: this.#name,
      path,
      args: args.map((arg) => this.#text("cmd.args", arg) ?? ""),
    };
  }

  #tls(tls: object): TlsOptions {
    const rootCaFile = this.#path("root-ca-file", tls);
    const certFile = this.#path("cert-file", tls);
    const keyFile = this.#path("key-file", tls);
    const serverName = this.#text("grpc-tls.server-name", goField(tls, "server-name"));
    const insecureSkipVerify = goField(tls, "insecure-skip-verify") ?? false;
    if (typeof insecureSkipVerify !== "boolean")
      throw this.#mistake("grpc-tls.insecure-skip-verify", "is not a boolean");
    if ((certFile === undefined) !== (keyFile === undefined)) {
      throw this.#mistake("grpc-tls", "has only one of cert-file and key-file");
    }
    return { rootCaFile, certFile, keyFile, serverName, insecureSkipVerify };
  }

  #path(field: string, tls: object): string | undefined {
    const path = this.#text(`grpc-tls.${field}`, goField(tls, field));
    if (path !== undefined && !isAbsolute(path)) throw this.#mistake(`grpc-tls.${field}`, "is relative");
    return path;
  }

  #object(place: string, value: unknown): object | undefined {
    if (value === undefined || value === null) return undefined;
    if (!isObject(value)) throw this.#mistake(place, "is not an object");
    return value;
  }

  /** An empty text counts as absent, as with Go's `omitempty`. */
  #text(place: string, value: unknown): string | undefined {
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value !== "string") throw this.#mistake(place, "is not a text");
    if (value.includes("\0")) throw this.#mistake(place, "contains a NUL");
    return value;
  }

  #mistake(place: string, what: string): DecoderError {
    return mistake(this.#file, `key-providers.${this.#name}${place && `.${place}`}`, what);
  }
}
