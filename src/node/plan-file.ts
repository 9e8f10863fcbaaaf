import { dirname, join } from "node:path";
import {
  type ContainerdConfig,
  parseConfig,
  readConfigText,
  readContainerdConfig,
  versionOf,
} from "../containerd/config.ts";
import { type ConfigFiles, matchesImport } from "../containerd/config-files.ts";
import { CONFIG_VERSION, renderStanzaFile } from "../containerd/stream-processors.ts";
import { type ContainerdVersion, seriesOf } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import type { FileChange } from "./changes.ts";
import type { Distribution } from "./distribution.ts";
import type { Finding } from "./finding.ts";
import type { NodeRoot } from "./node-root.ts";
import { type WantedProcessors, wantedProcessors } from "./processors.ts";
import { addImport, hasSameMeaning } from "./toml-edit.ts";

/** What an installation does to a node's configuration. */
export interface ConfigPlan {
  /** The file to check once the changes are made: containerd's configuration, or the template of it. */
  readonly configFile: string;
  readonly changes: readonly FileChange[];
  /** What the distribution itself will write. */
  readonly rendered?: FileChange;
  readonly wanted: WantedProcessors;
  readonly findings: readonly Finding[];
}

export interface PlanOptions {
  /** Path of the program on the node. */
  readonly program: string;
  readonly distribution: Distribution;
  /** The containerd that reads the configuration. */
  readonly version: ContainerdVersion;
}

const DROP_IN = "ctd-decoder.toml";

/** A configuration that is a file: the processors go to a file beside it, which it imports. */
export function planFile(node: NodeRoot, { program, distribution, version }: PlanOptions): ConfigPlan {
  const { configFile } = distribution;
  const isOld = version.major < 2 && version.minor <= 6;
  const text = node.exists(configFile)
    ? readConfigText(configFile, node)
    : `version = ${CONFIG_VERSION[seriesOf(version)]}\n`;
  const config = readContainerdConfig(configFile, withFile(node, configFile, text));
  const wanted = wantedProcessors(program, config);
  const pattern = config.files[0]?.imports.find(
    (it) =>
      it.includes("*") &&
      (it.startsWith("/") || !isOld) &&
      matchesImport(absolute(it, configFile), dropInFor(it, configFile)),
  );
  const dropIn = pattern === undefined ? join(dirname(configFile), DROP_IN) : dropInFor(pattern, configFile);
  const changes = dropInChanges(node, { path: dropIn, config, wanted, version });
  const isImported = pattern !== undefined || config.files.some(({ path }) => path === dropIn);
  if (!isImported)
    changes.push({
      path: configFile,
      kind: "config",
      content: { text: importing(text, dropIn, configFile) },
    });
  return { configFile, changes, wanted, findings: wanted.findings };
}

/** Where a pattern of imports expects our file. */
export function dropInFor(pattern: string, configFile: string): string {
  return join(dirname(absolute(pattern, configFile)), DROP_IN);
}

function absolute(path: string, configFile: string): string {
  return path.startsWith("/") ? path : join(dirname(configFile), path);
}

interface DropInOptions {
  readonly path: string;
  readonly config: ContainerdConfig;
  readonly wanted: WantedProcessors;
  readonly version: ContainerdVersion;
}

/** The file with the processors, unless it is right: then its comments stay. */
export function dropInChanges(
  node: NodeRoot,
  { path, config, wanted, version }: DropInOptions,
): FileChange[] {
  const processors = new Map([...wanted.processors, ...wanted.reduced]);
  const hasVersion = config.files[0]?.version !== 1;
  // containerd 2.3 refuses an import of a higher version; before, a lower one makes the whole configuration older.
  const fileVersion = hasVersion ? config.version : undefined;
  if (node.exists(path)) {
    const before = readContainerdConfig(path, node);
    const isRight =
      (before.files[0]?.version ?? 1) === (fileVersion ?? 1) &&
      [...processors].every(([id, it]) => hasSameMeaning(before.processors.get(id), { ...it, file: path }));
    if (isRight) return [];
  }
  const text = renderStanzaFile({ containerd: seriesOf(version), version: fileVersion, processors });
  return [{ path, kind: "drop-in", content: { text } }];
}

/** @throws DecoderError CONFIG */
function importing(text: string, dropIn: string, configFile: string): string {
  const edited = addImport(text, dropIn);
  if (edited !== undefined) return edited;
  throw new DecoderError("CONFIG", `cannot add an import to ${configFile} safely; nothing was changed`, {
    hint: `add ${JSON.stringify(dropIn)} to its imports, and run this again`,
  });
}

/** A configuration that k0s writes at each start, with the files of a folder as imports. */
export function planDropIn(
  node: NodeRoot,
  folder: string,
  { program, distribution: { configFile }, version }: PlanOptions,
): ConfigPlan {
  const before = node.exists(configFile) ? parseConfig(readConfigText(configFile, node), configFile) : {};
  const fileVersion = versionOf({ version: CONFIG_VERSION[seriesOf(version)], ...before }, configFile);
  const text = `version = ${fileVersion}\nimports = [${JSON.stringify(join(folder, "*.toml"))}]\n`;
  const config = readContainerdConfig(configFile, withFile(node, configFile, text));
  const wanted = wantedProcessors(program, config);
  return {
    configFile,
    changes: dropInChanges(node, { path: join(folder, DROP_IN), config, wanted, version }),
    rendered: { path: configFile, kind: "config", content: { text } },
    wanted,
    findings: wanted.findings,
  };
}

/** A node's files, one of them with another text. */
export function withFile(node: NodeRoot, path: string, text: string): ConfigFiles {
  return {
    read: (it, maxBytes) => (it === path ? Buffer.from(text) : node.read(it, maxBytes)),
    list: (folder) => node.list(folder),
  };
}
