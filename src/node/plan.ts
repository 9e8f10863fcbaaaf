import { dirname, join } from "node:path";
import {
  type ContainerdConfig,
  parseConfig,
  readConfigText,
  readContainerdConfig,
  type Table,
  templateVersion,
} from "../containerd/config.ts";
import { type ConfigFiles, matchesImport } from "../containerd/config-files.ts";
import { CONFIG_VERSION, renderProcessors, renderStanzaFile } from "../containerd/stream-processors.ts";
import { renderTemplate } from "../containerd/template.ts";
import { type ContainerdVersion, seriesOf } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import type { FileChange } from "./changes.ts";
import type { Distribution } from "./distribution.ts";
import type { Finding } from "./finding.ts";
import type { NodeRoot } from "./node-root.ts";
import { type WantedProcessors, wantedProcessors } from "./processors.ts";
import { addImport, hasSameMeaning, removeProcessor } from "./toml-edit.ts";

/** What an installation does to a node's configuration. */
export interface ConfigPlan {
  /** The file to check once the changes are made: containerd's configuration, or the template of it. */
  readonly configFile: string;
  readonly changes: readonly FileChange[];
  readonly wanted: WantedProcessors;
  readonly findings: readonly Finding[];
}

interface PlanOptions {
  /** Path of the program on the node. */
  readonly program: string;
  readonly distribution: Distribution;
  /** The containerd that reads the configuration. */
  readonly version: ContainerdVersion;
}

const DROP_IN = "ctd-decoder.toml";
const BEGIN = "# BEGIN ctd-decoder";
const END = "# END ctd-decoder";

/** @throws DecoderError CONFIG for a configuration that is wrong already, or cannot be edited safely */
export function planConfig(node: NodeRoot, options: PlanOptions): ConfigPlan {
  return options.distribution.isRendered ? planRendered(node, options) : planFile(node, options);
}

/** A configuration that is a file: the processors go to a file beside it, which it imports. */
function planFile(node: NodeRoot, { program, distribution, version }: PlanOptions): ConfigPlan {
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
function dropInFor(pattern: string, configFile: string): string {
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
function dropInChanges(node: NodeRoot, { path, config, wanted, version }: DropInOptions): FileChange[] {
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

/** A configuration that k3s or RKE2 renders: the processors go to a folder that it imports, or else to the template. */
function planRendered(node: NodeRoot, { program, distribution, version }: PlanOptions): ConfigPlan {
  const folder = dirname(distribution.configFile);
  const rendered = node.exists(distribution.configFile)
    ? readContainerdConfig(distribution.configFile, node)
    : undefined;
  const pattern = rendered?.files[0]?.imports.find((it) =>
    /^config(?:-v3)?\.toml\.d$/.test(dirname(it).slice(folder.length + 1)),
  );
  if (rendered !== undefined && pattern !== undefined) {
    const wanted = wantedProcessors(program, rendered);
    const dropIn = dropInFor(pattern, distribution.configFile);
    const changes = dropInChanges(node, { path: dropIn, config: rendered, wanted, version });
    return { configFile: distribution.configFile, changes, wanted, findings: wanted.findings };
  }
  const template = join(folder, templateName(node, folder, version));
  return planTemplate(node, template, program);
}

/** With containerd 2.x, k3s reads config-v3.toml.tmpl and, only where there is none, config.toml.tmpl. */
function templateName(node: NodeRoot, folder: string, { major }: ContainerdVersion): string {
  const [old, current] = ["config.toml.tmpl", "config-v3.toml.tmpl"];
  if (major < 2) return old;
  return !node.exists(join(folder, current)) && node.exists(join(folder, old)) ? old : current;
}

function planTemplate(node: NodeRoot, template: string, program: string): ConfigPlan {
  const parse = (text: string) => parseTemplate(template, text);
  const text = node.exists(template) ? readConfigText(template, node) : '{{ template "base" . }}\n';
  let bare = withoutBlock(text);
  const config = isReadable(parse, text) ? text : bare;
  const wanted = wantedProcessors(program, readContainerdConfig(template, withFile(node, template, config)));
  for (const id of [...wanted.processors.keys(), ...wanted.reduced.keys()]) {
    if (!hasProcessor(parse(bare), id)) continue;
    const cut = removeProcessor(bare, id, parse);
    if (cut === undefined) throw uneditable(template, id);
    bare = cut;
  }
  const reduced = [...wanted.reduced].filter(([, { accepts }]) => accepts.length > 0);
  const block = renderProcessors(new Map([...wanted.processors, ...reduced]));
  const edited = `${bare}${bare === "" || bare.endsWith("\n") ? "" : "\n"}${BEGIN}\n${block}${END}\n`;
  const isRight = isReadable(parse, text) && hasSameMeaning(parse(edited), parse(text));
  return {
    configFile: template,
    changes: isRight ? [] : [{ path: template, kind: "template", content: { text: edited } }],
    wanted,
    findings: wanted.findings,
  };
}

/** An older installer may have appended its block to a template that had the same processors. */
function isReadable(parse: (text: string) => Table, text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}

function uneditable(template: string, id: string): DecoderError {
  return new DecoderError("CONFIG", `cannot remove ${id} from ${template} safely; nothing was changed`, {
    hint: `remove its stream_processors.${JSON.stringify(id)} by hand, and run this again`,
  });
}

/** A template without the part that an installation appended. */
export function withoutBlock(text: string): string {
  const [from, to] = [text.indexOf(`${BEGIN}\n`), text.indexOf(`${END}\n`)];
  return from < 0 || to < from ? text : text.slice(0, from) + text.slice(to + END.length + 1);
}

/** @throws DecoderError CONFIG */
function parseTemplate(template: string, text: string): Table {
  return parseConfig(
    renderTemplate(template, text, templateVersion(template)),
    `what the template ${template} renders to`,
  );
}

function hasProcessor(table: Table, id: string): boolean {
  const all = table["stream_processors"];
  return typeof all === "object" && all !== null && Object.hasOwn(all, id);
}

/** A node's files, one of them with another text. */
function withFile(node: NodeRoot, path: string, text: string): ConfigFiles {
  return {
    read: (it, maxBytes) => (it === path ? Buffer.from(text) : node.read(it, maxBytes)),
    list: (folder) => node.list(folder),
  };
}
