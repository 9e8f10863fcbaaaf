import { dirname, join } from "node:path";
import {
  type ContainerdConfig,
  parseConfig,
  readConfigText,
  readContainerdConfig,
  USUAL_ROOT,
  versionOf,
} from "../containerd/config.ts";
import { type ConfigFiles, matchesImport } from "../containerd/config-files.ts";
import {
  renderVerifier,
  sectionOf,
  stanzaFields,
  type VerifierStanza,
  wantedStanza,
} from "../containerd/image-verifier.ts";
import { type RuntimeHandler, renderHandler, runtimeHandlers } from "../containerd/runtimes.ts";
import { CONFIG_VERSION, GATE_FLAG, renderStanzaFile } from "../containerd/stream-processors.ts";
import { type ContainerdVersion, seriesOf } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import type { FileChange } from "./changes.ts";
import type { Distribution } from "./distribution.ts";
import type { Finding } from "./finding.ts";
import { type GatePlan, planGate, withHandlers } from "./gate-plan.ts";
import type { NodeRoot } from "./node-root.ts";
import { type WantedProcessors, wantedProcessors } from "./processors.ts";
import { addImport, hasSameMeaning } from "./toml-edit.ts";

/** An installation's changes to a node's configuration. */
export interface ConfigPlan {
  /** The file to check once the changes are made: containerd's configuration, or the template of it. */
  readonly configFile: string;
  /** containerd's data folder. */
  readonly root: string;
  readonly changes: readonly FileChange[];
  /** What the distribution itself will write. */
  readonly rendered?: FileChange;
  readonly wanted: WantedProcessors;
  /** The tenants' gate; undefined on a node without tenants. */
  readonly gate?: GatePlan;
  readonly findings: readonly Finding[];
}

export interface PlanOptions {
  /** Path of the program on the node. */
  readonly program: string;
  /** Programs of earlier installations. */
  readonly earlierPrograms?: readonly string[];
  readonly distribution: Distribution;
  /** The containerd that reads the configuration. */
  readonly version: ContainerdVersion;
  /** For a node of several tenants. */
  readonly tenants?: TenantsPlanOptions;
  /** Policy for the decoder's gate. If set, the image verifier is configured as well. undefined keeps the present setting. */
  readonly trustPolicy?: string;
}

interface TenantsPlanOptions {
  /** Flags that the decoder needs for tenants. */
  readonly flags: ReadonlyMap<string, string>;
  /** containerd's PATH. */
  readonly searchPath: string;
}

const DROP_IN = "ctd-decoder.toml";

/** A configuration that is a file: the processors go to a file beside it, which it imports. */
export function planFile(node: NodeRoot, options: PlanOptions): ConfigPlan {
  const { version } = options;
  const { configFile } = options.distribution;
  const isOld = version.major < 2 && version.minor <= 6;
  const text = node.exists(configFile)
    ? readConfigText(configFile, node)
    : `version = ${CONFIG_VERSION[seriesOf(version)]}\n`;
  const config = readContainerdConfig(configFile, withFile(node, configFile, text));
  const wanted = processorsFor(config, options);
  const pattern = config.files[0]?.imports.find(
    (it) =>
      it.includes("*") &&
      !dirname(it).includes("*") &&
      (it.startsWith("/") || !isOld) &&
      matchesImport(absolute(it, configFile), dropInFor(it, configFile)),
  );
  const dropIn = pattern === undefined ? join(dirname(configFile), DROP_IN) : dropInFor(pattern, configFile);
  const gate = gateFor(node, config, dropIn, options);
  const changes = dropInChanges(node, { path: dropIn, config, wanted, options, gate });
  const isImported = pattern !== undefined || config.files.some(({ path }) => path === dropIn);
  const texts = new Map([[configFile, isImported ? text : importing(text, dropIn, configFile)]]);
  if (gate?.edits !== undefined) {
    const { file, handlers } = gate.edits;
    texts.set(file, withHandlers(texts.get(file) ?? readConfigText(file, node), file, handlers));
  }
  for (const [path, edited] of texts) {
    const before = path === configFile ? text : readConfigText(path, node);
    if (edited !== before) changes.push({ path, kind: "config", content: { text: edited } });
  }
  return planOf(configFile, config, changes, { wanted, gate });
}

/** @throws DecoderError CONFIG */
export function processorsFor(
  config: ContainerdConfig,
  { program, earlierPrograms = [], tenants, trustPolicy }: PlanOptions,
): WantedProcessors {
  const flags = new Map([
    ...(tenants?.flags ?? []),
    ...(trustPolicy === undefined ? [] : [[GATE_FLAG, trustPolicy] as const]),
  ]);
  return wantedProcessors(config, { program, earlierPrograms, flags });
}

/** Settings of containerd's image verifier; none without a policy, and for containerd 1.x, which has no verifier. */
export function verifierFor(
  { trustPolicy, version }: PlanOptions,
  { plugins }: Pick<ContainerdConfig, "plugins">,
): VerifierStanza | undefined {
  return trustPolicy === undefined || version.major < 2 ? undefined : wantedStanza(plugins);
}

/** @param dropIn the file that the installation writes. @throws DecoderError CONFIG, NOT_FOUND */
export function gateFor(
  node: NodeRoot,
  config: ContainerdConfig,
  dropIn: string,
  { program, version, tenants }: PlanOptions,
): GatePlan | undefined {
  return tenants && planGate(node, config, { program, version, searchPath: tenants.searchPath, dropIn });
}

/** A drop-in cannot hold the gate's settings, because the distribution writes those of runc itself. */
export function refuseEdits(gate: GatePlan | undefined, { name, configFile }: Distribution): void {
  if (gate !== undefined && gate.edits === undefined) return;
  throw new DecoderError("CONFIG", `${name} here renders runc's options into ${configFile}`, {
    hint: `use a ${name} whose containerd is 2.x and imports a folder, after its first start`,
  });
}

/** An installation's needs besides changed files. */
interface PlanParts {
  readonly wanted: WantedProcessors;
  readonly gate: GatePlan | undefined;
  readonly rendered?: FileChange;
}

export function planOf(
  configFile: string,
  { root = USUAL_ROOT }: ContainerdConfig,
  changes: readonly FileChange[],
  { wanted, gate, rendered }: PlanParts,
): ConfigPlan {
  const findings = [...wanted.findings, ...(gate?.findings ?? [])];
  return {
    configFile,
    root,
    changes,
    wanted,
    ...(rendered && { rendered }),
    ...(gate && { gate }),
    findings,
  };
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
  readonly options: PlanOptions;
  readonly gate: GatePlan | undefined;
}

/** The file with the processors, unless it is right: then its comments stay. */
export function dropInChanges(
  node: NodeRoot,
  { path, config, wanted, options, gate }: DropInOptions,
): FileChange[] {
  const { version } = options;
  const verifier = verifierFor(options, config);
  const handlers: readonly RuntimeHandler[] = gate?.handlers ?? [];
  const processors = new Map([...wanted.processors, ...wanted.reduced]);
  if (node.exists(path)) {
    const before = readContainerdConfig(path, node);
    const present = runtimeHandlers(before, version);
    const isRight =
      before.version === config.version &&
      hasSameMeaning(sectionOf(before.plugins), verifier === undefined ? {} : stanzaFields(verifier)) &&
      handlers.every((it) => present.some((other) => hasSameMeaning(it, other))) &&
      [...processors].every(([id, it]) => hasSameMeaning(before.processors.get(id), { ...it, file: path }));
    if (isRight) return [];
  }
  const tables = [
    ...handlers.map((it) => renderHandler(config.version, it)),
    ...(verifier === undefined ? [] : [renderVerifier(verifier)]),
  ];
  // containerd 2.3 refuses an import of a higher version; before, a lower one makes the whole configuration older.
  const fileVersion = config.version === 1 ? undefined : config.version;
  const text = renderStanzaFile({ containerd: seriesOf(version), version: fileVersion, processors, tables });
  return [{ path, kind: "drop-in", content: { text } }];
}

/** @throws DecoderError CONFIG */
function importing(text: string, dropIn: string, configFile: string): string {
  const edited = addImport(text, dropIn);
  if (edited !== undefined) return edited;
  throw new DecoderError("CONFIG", `cannot add an import to ${configFile} safely`, {
    hint: `add ${JSON.stringify(dropIn)} to its imports, and run this again`,
  });
}

/** A configuration that k0s writes at each start, with the files of a folder as imports. */
export function planDropIn(node: NodeRoot, folder: string, options: PlanOptions): ConfigPlan {
  const { distribution, version, tenants } = options;
  const { configFile } = distribution;
  const before = node.exists(configFile) ? parseConfig(readConfigText(configFile, node), configFile) : {};
  const fileVersion = versionOf({ version: CONFIG_VERSION[seriesOf(version)], ...before }, configFile);
  const text = `version = ${fileVersion}\nimports = [${JSON.stringify(join(folder, "*.toml"))}]\n`;
  const config = readContainerdConfig(configFile, withFile(node, configFile, text));
  const wanted = processorsFor(config, options);
  const path = join(folder, DROP_IN);
  const gate = gateFor(node, config, path, options);
  if (tenants !== undefined) refuseEdits(gate, distribution);
  const changes = dropInChanges(node, { path, config, wanted, options, gate });
  const rendered: FileChange = { path: configFile, kind: "config", content: { text } };
  return planOf(configFile, config, changes, { wanted, gate, rendered });
}

/** A node's files, one of them with another text. */
export function withFile(node: NodeRoot, path: string, text: string): ConfigFiles {
  return {
    read: (it, maxBytes) => (it === path ? Buffer.from(text) : node.read(it, maxBytes)),
    list: (folder) => node.list(folder),
  };
}
