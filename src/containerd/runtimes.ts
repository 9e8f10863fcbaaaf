import { type ContainerdConfig, isTable, merge, type Table } from "./config.ts";
import { quote } from "./stream-processors.ts";
import type { ContainerdVersion } from "./version.ts";

/** A runtime handler of the CRI. A RuntimeClass names it, and Pods without one get "runc". */
export interface RuntimeHandler {
  readonly name: string;
  /** The shim, such as "io.containerd.runc.v2". */
  readonly type: string;
  /** The OCI runtime that the shim calls; "" for runc on containerd's PATH. */
  readonly binary: string;
}

export const RUNC_TYPE = "io.containerd.runc.v2";
const DEFAULT_HANDLER = "runc";
/** Plugin ID of the CRI's runtime service, by version of the configuration. */
const SECTIONS: readonly string[] = ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"];
/** Handlers outside of `runtimes`, which containerd 1.x still reads. A Pod's annotation selects the second. */
const DEPRECATED = ["default_runtime", "untrusted_workload_runtime"];

/** Path of a handler's table in a configuration of a version. */
export function handlerPath(configVersion: number, name: string): readonly string[] {
  const section = SECTIONS[Math.min(configVersion, SECTIONS.length) - 1] ?? "";
  return ["plugins", section, "containerd", "runtimes", name];
}

/** The handlers that a containerd has with a configuration. */
export function runtimeHandlers(config: ContainerdConfig, version: ContainerdVersion): RuntimeHandler[] {
  const handlers = handlersOf(criSection(config, version));
  // containerd 2.x merges the default runtime into the table. 1.x uses the default only if the table is missing.
  const hasDefault = handlers.some(({ name }) => name === DEFAULT_HANDLER);
  const lacksDefault = version.major < 2 ? handlers.length === 0 : !hasDefault;
  return lacksDefault ? [handlerOf(DEFAULT_HANDLER, {}), ...handlers] : handlers;
}

/** The handlers in one file's plugin sections. */
export function handlersIn(plugins: Table): RuntimeHandler[] {
  return SECTIONS.flatMap((id) => handlersOf(tableIn(tableIn(plugins, id), "containerd")));
}

/** Deprecated settings that define more handlers. */
export function deprecatedHandlers(config: ContainerdConfig, version: ContainerdVersion): string[] {
  const section = criSection(config, version);
  return version.major < 2 ? DEPRECATED.filter((name) => isTable(section[name])) : [];
}

/** The last file with a section of the CRI's runtime service. containerd 1.x ignores that of all others. */
export function lastFileWithSection({ files }: ContainerdConfig): string | undefined {
  return files.findLast(({ plugins }) => SECTIONS.some((id) => isTable(plugins[id])))?.path;
}

/** The table that sets a handler's OCI runtime. */
export function renderOptions(configVersion: number, { name, binary }: RuntimeHandler): string {
  return `[${header(configVersion, name)}.options]\n  BinaryName = ${quote(binary)}\n`;
}

/** The tables of a handler. */
export function renderHandler(configVersion: number, handler: RuntimeHandler): string {
  const table = `[${header(configVersion, handler.name)}]\n  runtime_type = ${quote(handler.type)}\n`;
  return `${table}${renderOptions(configVersion, handler)}`;
}

function header(configVersion: number, name: string): string {
  return handlerPath(configVersion, name)
    .map((it) => (/^[A-Za-z0-9_-]+$/.test(it) ? it : quote(it)))
    .join(".");
}

/** containerd 1.x replaces a whole section by that of a later file (services/server/config.mergeConfig); 2.x merges them. */
function criSection({ files }: ContainerdConfig, version: ContainerdVersion): Table {
  const sections = files.flatMap(({ plugins }) => SECTIONS.map((id) => plugins[id]).filter(isTable));
  const section = version.major < 2 ? (sections.at(-1) ?? {}) : sections.reduce(merge, {});
  return tableIn(section, "containerd");
}

function handlersOf(section: Table): RuntimeHandler[] {
  return Object.entries(tableIn(section, "runtimes")).map(([name, it]) =>
    handlerOf(name, isTable(it) ? it : {}),
  );
}

function handlerOf(name: string, table: Table): RuntimeHandler {
  const { runtime_type: type = name === DEFAULT_HANDLER ? RUNC_TYPE : "" } = table;
  const { BinaryName: binary = "" } = tableIn(table, "options");
  return {
    name,
    type: typeof type === "string" ? type : "",
    binary: typeof binary === "string" ? binary : "",
  };
}

function tableIn(table: Table, name: string): Table {
  const value = table[name];
  return isTable(value) ? value : {};
}
