import { isAbsolute, join } from "node:path";
import { type ContainerdConfig, isTable, parseConfig } from "../containerd/config.ts";
import {
  deprecatedHandlers,
  handlerPath,
  handlersIn,
  lastFileWithSection,
  RUNC_TYPE,
  type RuntimeHandler,
  renderHandler,
  renderOptions,
  runtimeHandlers,
} from "../containerd/runtimes.ts";
import type { ContainerdVersion } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import type { FileChange } from "./changes.ts";
import type { Finding } from "./finding.ts";
import type { NodeRoot } from "./node-root.ts";
import { entryPath, renderEntry, runtimeBehind } from "./runtime-entry.ts";
import { setText } from "./toml-edit.ts";

/** How the tenants' gate gets in front of every container. */
export interface GatePlan {
  /** Scripts that containerd calls in place of its OCI runtimes. */
  readonly entries: readonly FileChange[];
  /** Handlers whose runtime the installation's own file sets. */
  readonly handlers: readonly RuntimeHandler[];
  /** The handlers that an operator's file has to set, since containerd 1.x ignores other files for its section. */
  readonly edits: { readonly file: string; readonly handlers: readonly RuntimeHandler[] } | undefined;
  readonly findings: readonly Finding[];
}

interface GateOptions {
  /** Path of this program on the node. */
  readonly program: string;
  readonly version: ContainerdVersion;
  /** containerd's PATH. */
  readonly searchPath: string;
  /** The installation's own file of containerd's configuration. */
  readonly dropIn: string;
}

const SHELL = "/bin/sh";
/** systemd's default PATH, which containerd has on most nodes. */
const USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** @throws DecoderError CONFIG, NOT_FOUND */
export function planGate(node: NodeRoot, config: ContainerdConfig, options: GateOptions): GatePlan {
  const { program, version, dropIn } = options;
  const deprecated = deprecatedHandlers(config, version);
  if (deprecated.length > 0)
    throw new DecoderError("CONFIG", `the gate can't be put before ${deprecated.join(" and ")}`, {
      hint: "define these runtimes in [plugins.….containerd.runtimes] instead",
    });
  if (!node.isExecutable(SHELL))
    throw new DecoderError("NOT_FOUND", `the node has no ${SHELL}`, {
      hint: "the gate's entry is a shell script: with containerd 2.2 or newer, use `ctd-decoder nri` instead",
    });
  const entries = new Map<string, FileChange>();
  const handlers: RuntimeHandler[] = [];
  const findings: Finding[] = [];
  for (const handler of runtimeHandlers(config, version)) {
    if (handler.type !== RUNC_TYPE) {
      findings.push(ungated(handler));
      continue;
    }
    const runtime = findRuntime(node, handler, options.searchPath);
    const path = entryPath(program, runtime);
    const text = renderEntry({ gate: program, runtime });
    const taken = entries.get(path);
    if (taken !== undefined && "text" in taken.content && taken.content.text !== text)
      throw new DecoderError("CONFIG", `two runtimes have the name of ${runtime}`, {
        hint: "rename one of them: the gate's script is named after the runtime",
      });
    entries.set(path, { path, kind: "entry", content: { text } });
    handlers.push({ ...handler, binary: path });
  }
  const file = version.major < 2 ? lastFileWithSection(config) : undefined;
  const isOwn = file === undefined || file === dropIn;
  return {
    entries: [...entries.values()],
    handlers: isOwn ? handlers : [],
    edits: isOwn ? undefined : { file, handlers },
    findings,
  };
}

/** @throws DecoderError CONFIG for a text that cannot be edited safely */
export function withHandlers(text: string, file: string, handlers: readonly RuntimeHandler[]): string {
  return handlers.reduce((edited, handler) => {
    const version = Number(parseConfig(edited, file)["version"] ?? 1);
    const result = setText(
      edited,
      {
        path: [...handlerPath(version, handler.name), "options", "BinaryName"],
        value: handler.binary,
        blocks: [renderHandler(version, handler), renderOptions(version, handler)],
      },
      (it) => parseConfig(it, file),
    );
    if (result !== undefined) return result;
    throw new DecoderError("CONFIG", `cannot edit ${file} safely`, {
      hint: `set BinaryName = ${JSON.stringify(handler.binary)} in the options of its runtime ${handler.name}, and run this again`,
    });
  }, text);
}

/** The text with the runtime behind each entry instead of the entry; undefined if it cannot be edited safely. */
export function withoutEntries(node: NodeRoot, text: string, file: string): string | undefined {
  const table = parseConfig(text, file);
  const version = Number(table["version"] ?? 1);
  const plugins = isTable(table["plugins"]) ? table["plugins"] : {};
  return handlersIn(plugins).reduce<string | undefined>((edited, { name, binary }) => {
    const runtime = isAbsolute(binary) ? runtimeBehind(node, binary) : undefined;
    if (runtime === undefined || edited === undefined) return edited;
    const path = [...handlerPath(version, name), "options", "BinaryName"];
    return setText(edited, { path, value: runtime, blocks: [] }, (it) => parseConfig(it, file));
  }, text);
}

/** Path of the runtime that a handler calls now, whether directly or through an entry. @throws DecoderError NOT_FOUND */
function findRuntime(node: NodeRoot, { name, binary }: RuntimeHandler, searchPath: string): string {
  const behind = isAbsolute(binary) ? runtimeBehind(node, binary) : undefined;
  const wanted = behind ?? (binary === "" ? "runc" : binary);
  const folders = (searchPath === "" ? USUAL_PATH : searchPath).split(":").filter(isAbsolute);
  const places = isAbsolute(wanted) ? [wanted] : folders.map((folder) => join(folder, wanted));
  const found = places.find((it) => node.isExecutable(it));
  if (found !== undefined) return found;
  throw new DecoderError("NOT_FOUND", `found no ${wanted} on the node, which the runtime ${name} calls`, {
    hint: "install it, or remove the runtime from containerd's configuration",
  });
}

/** Kata, gVisor and others do not call an OCI runtime that a script could stand for. */
export function ungated({ name, type }: RuntimeHandler): Finding {
  return {
    severity: "warning",
    message: `the runtime ${name} (${type || "of no type"}) has no gate: Pods with its RuntimeClass may use every tenant's layers`,
    hint: "with containerd 2.2 or newer, `ctd-decoder nri` guards all runtimes; else remove the RuntimeClass, or limit who may use it",
  };
}
