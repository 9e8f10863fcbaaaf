import { isAbsolute } from "node:path";
import { goField, isObject, type JsonObject, parseJsonObject } from "../../encoding/json.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { LIMITS } from "../../limits.ts";
import type { SchemeSettings } from "../scheme.ts";

/** A program that reads the request on stdin and answers on stdout. */
export interface CommandProvider {
  readonly kind: "command";
  readonly name: string;
  /** Absolute, or a bare name to be found on PATH. */
  readonly path: string;
  readonly args: readonly string[];
}

export interface GrpcProvider {
  readonly kind: "grpc";
  readonly name: string;
  /** "host:port", "unix:///path". */
  readonly target: string;
  /** Undefined: the connection is not encrypted. */
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

const VARIABLE = "OCICRYPT_KEYPROVIDER_CONFIG";

/**
 * The provider of a name as the operator configured it, or why there is none. Only that provider's entry is looked at:
 * a mistake in another one is not its fault.
 * @throws DecoderError CONFIG when the file or the entry can't be used
 */
export function findProvider(
  name: string,
  environment: SchemeSettings["environment"],
): Provider | { readonly kind: "none"; readonly reason: string } {
  const file = environment[VARIABLE];
  if (!file) return { kind: "none", reason: `${VARIABLE} is not set, so there are no key providers` };
  const providers = goField(readConfiguration(file), "key-providers") ?? {};
  if (!isObject(providers)) throw mistake(file, "key-providers", "is no object");
  if (!Object.hasOwn(providers, name)) return { kind: "none", reason: `${file} has no such key provider` };
  return new EntryReader(file, name, providers[name]).provider();
}

function readConfiguration(file: string): JsonObject {
  // As containerd's child the decoder runs wherever containerd was started.
  if (!isAbsolute(file)) {
    throw new DecoderError("CONFIG", `${VARIABLE} names ${file}, which is relative`, {
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
    );
  }
  const json = parseJsonObject(bytes);
  if (json === null)
    throw new DecoderError("CONFIG", `the key provider configuration ${file} is no JSON object`);
  return json;
}

function mistake(file: string, place: string, what: string): DecoderError {
  return new DecoderError("CONFIG", `in the key provider configuration ${file}, ${place} ${what}`);
}

/** Reads one entry with Go's rules: absent and null are the same, unknown fields are ignored. */
class EntryReader {
  readonly #file: string;
  readonly #name: string;
  readonly #entry: unknown;

  constructor(file: string, name: string, entry: unknown) {
    this.#file = file;
    this.#name = name;
    this.#entry = entry;
  }

  /** `cmd` goes before `grpc`, as in Go. */
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
    if (!Array.isArray(args)) throw this.#mistake("cmd.args", "is no list");
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
      throw this.#mistake("grpc-tls.insecure-skip-verify", "is no boolean");
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
    if (!isObject(value)) throw this.#mistake(place, "is no object");
    return value;
  }

  /** An empty text is an absent one, as Go's `omitempty` has it. */
  #text(place: string, value: unknown): string | undefined {
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value !== "string") throw this.#mistake(place, "is no text");
    if (value.includes("\0")) throw this.#mistake(place, "holds a NUL");
    return value;
  }

  #mistake(place: string, what: string): DecoderError {
    return mistake(this.#file, `key-providers.${this.#name}${place && `.${place}`}`, what);
  }
}
