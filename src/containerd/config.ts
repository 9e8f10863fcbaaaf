import { parseToml } from "../encoding/toml.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { type ConfigFiles, LOCAL_FILES, resolveImport } from "./config-files.ts";
import { BUILT_IN, type StreamProcessor } from "./stream-processors.ts";
import { isTemplate, renderTemplate } from "./template.ts";
import { findUnknownKeys, type UnknownKey } from "./unknown-keys.ts";

/** containerd's data folder if its configuration does not name one. */
export const USUAL_ROOT = "/var/lib/containerd";

export type Table = Readonly<Record<string, unknown>>;

/** containerd's configuration: a file merged with all its imports. */
export interface ContainerdConfig {
  /** In the order in which containerd reads them. Each overrides those before it. */
  readonly files: readonly ConfigFile[];
  /** Version of the first file. */
  readonly version: number;
  /** containerd's data folder; undefined for the default. */
  readonly root: string | undefined;
  readonly processors: ReadonlyMap<string, ConfiguredProcessor>;
  /** Plugin sections by ID, merged key by key. */
  readonly plugins: Table;
  /** IDs of plugins that containerd does not load, of all files together. */
  readonly disabledPlugins: readonly string[];
}

interface ConfigFile {
  readonly path: string;
  /** 1 if the file has no version. */
  readonly version: number;
  /** Entries of `imports`, unresolved. */
  readonly imports: readonly string[];
  /** Plugin sections of this file alone, by ID. */
  readonly plugins: Table;
  /** IDs of the stream processors in this file. */
  readonly processorIds: readonly string[];
  readonly unknownKeys: readonly UnknownKey[];
  /** Whether k3s or RKE2 renders the file before containerd reads it. */
  readonly isTemplate: boolean;
}

export interface ConfiguredProcessor extends StreamProcessor {
  /** The file that has the entry; undefined for containerd's built-in entries. */
  readonly file: string | undefined;
}

/**
 * Reads a config.toml, or a template of one, and its imports as containerd does: imports follow the file that names them,
 * entries of `stream_processors` replace each other entirely, plugin sections are merged.
 * @throws DecoderError CONFIG naming the file, and the line of invalid TOML; LIMIT
 */
export function readContainerdConfig(path: string, source: ConfigFiles = LOCAL_FILES): ContainerdConfig {
  const processors = new Map<string, ConfiguredProcessor>();
  for (const [id, processor] of BUILT_IN) processors.set(id, { ...processor, file: undefined });
  const files: ConfigFile[] = [];
  let plugins: Table = {};
  const disabledPlugins: string[] = [];
  let root: string | undefined;
  const pending = [path];
  for (let file = pending.shift(); file !== undefined; file = pending.shift()) {
    if (files.some((known) => known.path === file)) continue;
    // The first file is not an import.
    if (files.length > LIMITS.configFiles)
      throw new DecoderError("LIMIT", `${path} imports more than ${LIMITS.configFiles} files`);
    const { table, text, isTemplate } = readToml(file, source);
    const entries = tableField(table, "stream_processors", file);
    const ownPlugins = tableField(table, "plugins", file);
    const imports = importsOf(table, file);
    files.push({
      path: file,
      version: versionOf(table, file),
      imports,
      plugins: ownPlugins,
      processorIds: Object.keys(entries),
      unknownKeys: findUnknownKeys(table, text),
      isTemplate,
    });
    root = typeof table["root"] === "string" && table["root"] !== "" ? table["root"] : root;
    for (const [id, value] of Object.entries(entries))
      processors.set(id, { ...processorOf(value, id, file), file });
    plugins = merge(plugins, ownPlugins);
    disabledPlugins.push(...textsOf(table["disabled_plugins"]));
    for (const it of imports) pending.push(...resolveImport(it, file, source));
  }
  return { files, version: files[0]?.version ?? 1, root, processors, plugins, disabledPlugins };
}

/** @throws DecoderError CONFIG for a file that cannot be read */
export function readConfigText(path: string, source: ConfigFiles): string {
  let bytes: Uint8Array;
  try {
    bytes = source.read(path, LIMITS.configBytes);
  } catch (cause) {
    throw new DecoderError("CONFIG", `cannot read ${path}: ${describeSystemError(cause)}`, { cause });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new DecoderError("CONFIG", `${path} is not valid TOML: it is not UTF-8`);
  }
}

/** @throws DecoderError CONFIG with the line. The parser's own message quotes the file, which may hold a password. */
export function parseConfig(text: string, path: string): Table {
  try {
    return parseToml(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new DecoderError("CONFIG", `${path} is ${error.message}`);
    throw error;
  }
}

/** `base` of config-v3.toml.tmpl has version 3, that of config.toml.tmpl version 2. */
export function templateVersion(path: string): number {
  return path.endsWith("config.toml.tmpl") ? 2 : 3;
}

function readToml(path: string, source: ConfigFiles): { table: Table; text: string; isTemplate: boolean } {
  const text = readConfigText(path, source);
  if (!isTemplate(path, text)) return { table: parseConfig(text, path), text, isTemplate: false };
  const rendered = renderTemplate(path, text, templateVersion(path));
  return { table: parseConfig(rendered, `what the template ${path} renders to`), text, isTemplate: true };
}

/** containerd's docs/PLUGINS.md: a file without a version has version 1. */
export function versionOf({ version = 1 }: Table, file: string): number {
  // containerd refuses "2" and true, which Number would take.
  const number = typeof version === "number" || typeof version === "bigint" ? Number(version) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new DecoderError("CONFIG", `${file}: version is not a whole number`);
}

function tableField(table: Table, name: string, file: string): Table {
  const value = table[name] ?? {};
  if (isTable(value)) return value;
  throw new DecoderError("CONFIG", `${file}: ${name} is not a table`);
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function processorOf(value: unknown, id: string, file: string): StreamProcessor {
  const where = `${file}: stream_processors.${JSON.stringify(id)}`;
  if (!isTable(value)) throw new DecoderError("CONFIG", `${where} is not a table`);
  const text = (name: string) => {
    const field = value[name] ?? "";
    if (typeof field === "string") return field;
    throw new DecoderError("CONFIG", `${where}: ${name} is not a string`);
  };
  const list = (name: string) => {
    const field = value[name] ?? [];
    if (Array.isArray(field) && field.every((it) => typeof it === "string")) return field;
    throw new DecoderError("CONFIG", `${where}: ${name} is not a list of strings`);
  };
  return {
    accepts: list("accepts"),
    returns: text("returns"),
    path: text("path"),
    args: list("args"),
    env: list("env"),
  };
}

function importsOf({ imports = [] }: Table, file: string): string[] {
  if (Array.isArray(imports) && imports.every((it) => typeof it === "string")) return imports;
  throw new DecoderError("CONFIG", `${file}: imports is not a list of strings`);
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((it) => typeof it === "string") : [];
}

/** Tables are merged key by key; every other value is replaced. */
export function merge(to: Table, from: Table): Table {
  const merged: Record<string, unknown> = { ...to };
  for (const [name, value] of Object.entries(from)) {
    const before = merged[name];
    merged[name] = isTable(before) && isTable(value) ? merge(before, value) : value;
  }
  return merged;
}
