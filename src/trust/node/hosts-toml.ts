import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { isObject } from "../../encoding/json.ts";
import { parseToml } from "../../encoding/toml.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { certificatesFor } from "../../registry/certificates.ts";
import type { ClientPair, RegistryHost, TlsSettings } from "../../registry/host.ts";
import { DOCKER_HUB } from "../../registry/name.ts";
import { isLoopback } from "../../registry/origin.ts";
import * as LIMITS from "../../system-limits.ts";

type Table = Readonly<Record<string, unknown>>;

const FILE = "hosts.toml";
const HUB_SERVER = "registry-1.docker.io";
const FIELDS = "capabilities, ca, client, skip_verify, header, override_path";

/**
 * The servers that containerd asks for a registry, in its order (containerd's docs/hosts.md): mirrors, then the server.
 * @param folders of containerd's `config_path`
 * @param registry `registry.example.com:5000`
 * @throws DecoderError CONFIG for a file that can't be used
 */
export function registryHosts(folders: readonly string[], registry: string): readonly RegistryHost[] {
  const folder = folders.flatMap((it) => foldersFor(it, registry)).find((it) => existsSync(it));
  if (folder === undefined) return [serverOf(registry, { verify: true, authorities: [], pairs: [] })];
  const path = join(folder, FILE);
  if (!existsSync(path))
    return [serverOf(registry, { verify: true, ...certificatesFor(registry, {}, folder) })];
  const table = readTable(path);
  const hosts = Object.entries(tableOf(table["host"], path, "host")).map(([url, value]) =>
    hostOf(url, registry, tableOf(value, path, url), path),
  );
  const { server } = table;
  const last =
    typeof server === "string" && server !== ""
      ? hostOf(server, registry, table, path)
      : { ...serverOf(registry, tlsOf(table, path)), canPull: true };
  return [...hosts, last].filter(({ canPull }) => canPull);
}

function foldersFor(root: string, registry: string): string[] {
  const port = registry.lastIndexOf(":");
  const escaped = port > 0 ? `${registry.slice(0, port)}_${registry.slice(port + 1)}_` : registry;
  return [escaped, registry, "_default"].map((name) => join(root, name));
}

/** The registry itself. Plain HTTP is tried on this machine only. */
function serverOf(registry: string, tls: TlsSettings): RegistryHost {
  const api = `https://${registry === DOCKER_HUB ? HUB_SERVER : registry}/v2/`;
  return {
    name: registry,
    api,
    tls,
    plainHttp: isLoopback(new URL(api)) ? "fallback" : "never",
    plainSecrets: "never",
  };
}

/** One table of hosts.toml, or the file's own fields for its `server`. */
function hostOf(
  text: string,
  registry: string,
  table: Table,
  path: string,
): RegistryHost & { readonly canPull: boolean } {
  const url = urlOf(text, path);
  const isPlain = url.protocol === "http:";
  const clean = url.pathname.replace(/\/+$/, "");
  const isWhole = table["override_path"] === true || clean.endsWith("/v2");
  const isMirror = url.host !== registry && !(registry === DOCKER_HUB && url.host === HUB_SERVER);
  const capabilities = textsOf(table["capabilities"] ?? ["pull"], path, "capabilities");
  const headers = headersOf(table["header"], path);
  return {
    name: url.host,
    api: `${url.origin}${clean}${isWhole ? "" : "/v2"}/`,
    tls: tlsOf(table, path),
    plainHttp: isPlain ? "only" : "never",
    // The operator wrote http: on purpose, and containerd sends the same credentials there.
    plainSecrets: isPlain ? "own host" : "never",
    canPull: capabilities.some((it) => it.toLowerCase() === "pull"),
    ...(headers && { headers }),
    ...(isMirror && { query: { ns: registry } }),
  };
}

function urlOf(text: string, path: string): URL {
  const url = URL.parse(/^[a-z]+:\/\//.test(text) ? text : `https://${text}`);
  if (url !== null && /^https?:$/.test(url.protocol) && url.search === "" && url.username === "") return url;
  throw bad(path, `${JSON.stringify(text)} is not the address of a registry`);
}

function tlsOf(table: Table, path: string): TlsSettings {
  const { ca = [], client = [], skip_verify: skip = false } = table;
  if (typeof skip !== "boolean") throw bad(path, "skip_verify is neither true nor false");
  const read = (file: string) => readPem(isAbsolute(file) ? file : join(dirname(path), file), path);
  const clients: readonly unknown[] = Array.isArray(client) ? client : [client];
  return {
    verify: !skip,
    authorities: textsOf(ca, path, "ca").map(read),
    pairs: clients.map((it): ClientPair => {
      const [certificate = "", key] = textsOf(it, path, "client");
      // containerd reads both from one file if the second is "" or missing.
      return { certificate: read(certificate), key: read(key || certificate) };
    }),
  };
}

function headersOf(value: unknown, path: string): Readonly<Record<string, string>> | undefined {
  if (value === undefined) return undefined;
  const entries = Object.entries(tableOf(value, path, "header"));
  return Object.fromEntries(entries.map(([name, it]) => [name, textsOf(it, path, "header").join(", ")]));
}

function readTable(path: string): Table {
  try {
    return parseToml(readSmallFile(path, LIMITS.configBytes));
  } catch (cause) {
    throw bad(path, cause instanceof SyntaxError ? `it is ${cause.message}` : describeSystemError(cause));
  }
}

function readPem(file: string, path: string): string {
  try {
    return Buffer.from(readSmallFile(file, LIMITS.certificateBytes)).toString("utf8");
  } catch (cause) {
    throw bad(path, `${file}: ${describeSystemError(cause)}`);
  }
}

function tableOf(value: unknown, path: string, name: string): Table {
  if (value === undefined) return {};
  if (isObject(value)) return value;
  throw bad(path, `${name} is not a table`);
}

/** A text or a list of texts. */
function textsOf(value: unknown, path: string, name: string): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.every((it): it is string => typeof it === "string")) return list;
  throw bad(path, `${name} is malformed`);
}

function bad(path: string, why: string): DecoderError {
  return new DecoderError("CONFIG", `can't use ${path}: ${why}`, {
    hint: `a host of hosts.toml has ${FIELDS}`,
  });
}
