import { readdirSync } from "node:fs";
import { basename, dirname, isAbsolute, join, normalize } from "node:path";
import { parseToml, TomlProblem } from "../encoding/toml.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import { LIMITS } from "../limits.ts";
import { BUILT_IN, type StreamProcessor } from "./stream-processors.ts";

export type Table = Readonly<Record<string, unknown>>;

/** containerd's configuration as it comes to be of a file and those it imports. */
export interface ContainerdConfig {
  /** In the order they are read; each overrides those before. */
  readonly files: readonly ConfigFile[];
  /** Of the first file; 1 when it doesn't say. */
  readonly version: number;
  /** Where containerd keeps the content store, among others; undefined: its default. */
  readonly root: string | undefined;
  readonly processors: ReadonlyMap<string, ConfiguredProcessor>;
  /** Sections of plugins by ID, as the files have them, merged key by key. */
  readonly plugins: Table;
}

export interface ConfigFile {
  readonly path: string;
  readonly version: number;
  /** As they stand there. */
  readonly imports: readonly string[];
}

export interface ConfiguredProcessor extends StreamProcessor {
  /** The file it stands in; undefined: it is one of containerd's own. */
  readonly file: string | undefined;
}

/**
 * Reads a config.toml and all it imports, as containerd does: imports after the file that names them, entries of
 * `stream_processors` replaced whole, plugins' sections merged.
 * @throws DecoderError CONFIG naming the file, and the line if it is no TOML; LIMIT
 */
export function readContainerdConfig(path: string): ContainerdConfig {
  const processors = new Map<string, ConfiguredProcessor>();
  for (const [id, processor] of BUILT_IN) processors.set(id, { ...processor, file: undefined });
  const files: ConfigFile[] = [];
  let plugins: Table = {};
  let root: string | undefined;
  const pending = [path];
  for (let file = pending.shift(); file !== undefined; file = pending.shift()) {
    if (files.some((known) => known.path === file)) continue;
    if (files.length >= LIMITS.configFiles)
      throw new DecoderError("LIMIT", `${path} imports more than ${LIMITS.configFiles} files`);
    const table = readToml(file);
    const imports = importsOf(table, file);
    files.push({ path: file, version: versionOf(table, file), imports });
    root = typeof table["root"] === "string" && table["root"] !== "" ? table["root"] : root;
    for (const [id, value] of Object.entries(tableField(table, "stream_processors", file)))
      processors.set(id, { ...processorOf(value, id, file), file });
    plugins = merge(plugins, tableField(table, "plugins", file));
    pending.push(...imports.flatMap((it) => resolveImport(it, file)));
  }
  return { files, version: files[0]?.version ?? 1, root, processors, plugins };
}

/** A TOML document. The parser's own message quotes the file, which may hold a registry's password. */
function readToml(path: string): Table {
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(path, LIMITS.configBytes);
  } catch (cause) {
    throw new DecoderError("CONFIG", `can't read ${path}: ${describeSystemError(cause)}`, { cause });
  }
  try {
    return parseToml(bytes);
  } catch (error) {
    if (error instanceof TomlProblem) throw new DecoderError("CONFIG", `${path} is ${error.message}`);
    throw error;
  }
}

/** A file without it is of version 1 (containerd's docs/PLUGINS.md). */
function versionOf({ version = 1 }: Table, file: string): number {
  const number = Number(version);
  if (Number.isSafeInteger(number)) return number;
  throw new DecoderError("CONFIG", `${file}: version is no whole number`);
}

function tableField(table: Table, name: string, file: string): Table {
  const value = table[name] ?? {};
  if (isTable(value)) return value;
  throw new DecoderError("CONFIG", `${file}: ${name} is no table`);
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function processorOf(value: unknown, id: string, file: string): StreamProcessor {
  const where = `${file}: stream_processors.${JSON.stringify(id)}`;
  if (!isTable(value)) throw new DecoderError("CONFIG", `${where} is no table`);
  const text = (name: string) => {
    const field = value[name] ?? "";
    if (typeof field === "string") return field;
    throw new DecoderError("CONFIG", `${where}: ${name} is no text`);
  };
  const list = (name: string) => {
    const field = value[name] ?? [];
    if (Array.isArray(field) && field.every((it) => typeof it === "string")) return field;
    throw new DecoderError("CONFIG", `${where}: ${name} is no list of texts`);
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
  throw new DecoderError("CONFIG", `${file}: imports is no list of texts`);
}

/** As containerd's resolveImports: relative to the file, and `*` anywhere in a name. */
function resolveImport(path: string, file: string): string[] {
  const absolute = normalize(isAbsolute(path) ? path : join(dirname(file), path));
  return absolute.includes("*") ? glob(absolute) : [absolute];
}

/** The files that match, sorted, as Go's filepath.Glob gives them. A pattern in a folder's name is followed too. */
function glob(pattern: string): string[] {
  const folder = dirname(pattern);
  const folders = folder.includes("*") ? glob(folder) : [folder];
  const name = basename(pattern);
  if (!name.includes("*"))
    return folders.map((it) => join(it, name)).filter((it) => namesIn(dirname(it)).includes(name));
  const matcher = new RegExp(`^${name.split("*").map(escapeRegExp).join(".*")}$`, "s");
  return folders.flatMap((it) =>
    namesIn(it)
      .filter((entry) => matcher.test(entry))
      .map((entry) => join(it, entry)),
  );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function escapeRegExp(text: string): string {
  return text.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
}

/** Tables key by key, whatever else replaced. */
function merge(to: Table, from: Table): Table {
  const merged: Record<string, unknown> = { ...to };
  for (const [name, value] of Object.entries(from)) {
    const before = merged[name];
    merged[name] = isTable(before) && isTable(value) ? merge(before, value) : value;
  }
  return merged;
}
