import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { type ContainerdConfig, readContainerdConfig } from "../containerd/config.ts";
import { PAYLOAD_IDS } from "../containerd/stream-processors.ts";
import { type ContainerdVersion, formatVersion } from "../containerd/version.ts";
import { findExecutable } from "../process/find-executable.ts";
import { expectPayload, ignoredSettings, OLD_SECTION } from "./check-payload.ts";
import { argsOf, checkProcessors, type FileLookup } from "./check-processors.ts";
import type { Finding } from "./finding.ts";
import { NodeRoot } from "./node-root.ts";
import { PlannedFiles } from "./planned-files.ts";

interface ConfigCheckOptions {
  /** The containerd that reads the file; undefined: one that the file's version is meant for. */
  readonly version?: ContainerdVersion;
  /** Finds what the processors name. */
  readonly lookup: FileLookup;
}

export interface ConfigCheck {
  /** All files that were read, including imports. */
  readonly files: readonly string[];
  /** "2.1.9", "1.x" */
  readonly containerd: string;
  /** Whether pulls by Kubernetes pass a layer's descriptor to the decoder. */
  readonly payload: boolean;
  readonly findings: readonly Finding[];
}

/** @param searchPath containerd's PATH */
export function localLookup(searchPath: string): FileLookup {
  return { findProgram: (path) => findExecutable(path, searchPath), exists: existsSync };
}

/** Finds what keeps containerd from pulling encrypted images with a configuration. @throws DecoderError CONFIG, LIMIT */
export function checkConfigFile(path: string, options: ConfigCheckOptions): ConfigCheck {
  return checkConfig(readContainerdConfig(path), options);
}

/** The same for a node whose file system is mounted at `root`. @param path on the node. @throws DecoderError CONFIG, LIMIT */
export function checkMountedConfig(
  path: string,
  { root, searchPath, version }: { root: string; searchPath: string; version: ContainerdVersion | undefined },
): ConfigCheck {
  const files = new PlannedFiles(new NodeRoot(root), [], [], searchPath);
  return checkConfig(readContainerdConfig(path, files), { lookup: files, ...(version && { version }) });
}

export function checkConfig(config: ContainerdConfig, options: ConfigCheckOptions): ConfigCheck {
  const version = options.version ?? meantFor(config);
  const payload = expectPayload(config, version);
  return {
    files: config.files.map(({ path }) => path),
    containerd: formatVersion(version),
    payload: payload.isPassed,
    findings: [
      ...checkFiles(config, version),
      ...unknownKeys(config),
      ...checkProcessors(config.processors, options.lookup),
      ...ignoredSettings(config, version),
      ...(payload.isPassed ? [] : [withoutPayload(config, payload.reason)]),
    ],
  };
}

function meantFor({ version }: ContainerdConfig): ContainerdVersion {
  const latest = Number.POSITIVE_INFINITY;
  return { major: version >= 3 ? 2 : 1, minor: latest, patch: latest };
}

function* checkFiles(config: ContainerdConfig, containerd: ContainerdVersion): Generator<Finding> {
  for (const file of config.files) {
    if (file.isTemplate) {
      yield {
        severity: "note",
        message: `${file.path} is a template: containerd reads the config.toml that k3s or RKE2 renders from it at each start`,
        hint: "the check shows what it renders to, with the version of `base` and every condition met",
      };
    }
    const lost = containerd.major < 2 && containerd.minor <= 6 ? file.imports.filter(isRelativePattern) : [];
    if (lost.length > 0) {
      yield {
        severity: "error",
        message: `${file.path} imports ${lost.join(", ")}, which containerd 1.6 resolves in its working directory`,
        hint: "write the absolute path",
      };
    }
    yield* checkVersion(config, file, containerd);
  }
}

function isRelativePattern(path: string): boolean {
  return path.includes("*") && !isAbsolute(path);
}

/**
 * containerd 1.x reads versions up to 2. Imports of a higher version than the first file are refused by 2.3 only. 2.0 to 2.2
 * take the import's version for the whole configuration, and then do not convert the first file's old CRI section.
 */
function* checkVersion(
  { version, plugins }: ContainerdConfig,
  file: { readonly path: string; readonly version: number },
  containerd: ContainerdVersion,
): Generator<Finding> {
  if (containerd.major < 2) {
    if (file.version <= 2) return;
    yield {
      severity: "error",
      message: `containerd ${formatVersion(containerd)} does not read a configuration of version ${file.version} (${file.path})`,
      hint: "write version 2, as `ctd-decoder config --containerd 1.x` prints it",
    };
    return;
  }
  if (file.version <= version || containerd.minor > REFUSES_HIGHER_IMPORTS) return;
  const higher = `${file.path} has version ${file.version}, higher than the version ${version} of the file that imports it`;
  const hint = `write version = ${version} in it`;
  if (containerd.minor === REFUSES_HIGHER_IMPORTS)
    yield { severity: "error", message: `${higher}: containerd 2.3 refuses that`, hint };
  else if (plugins[OLD_SECTION] !== undefined)
    yield {
      severity: "warning",
      message: `${higher}: containerd ${formatVersion(containerd)} then ignores [plugins."${OLD_SECTION}"]`,
      hint,
    };
}

/** The minor version of containerd 2. */
const REFUSES_HIGHER_IMPORTS = 3;

/** A misspelt key may be the only reason why a configured decoder is never called. */
function* unknownKeys({ files }: ContainerdConfig): Generator<Finding> {
  for (const { path, unknownKeys } of files) {
    for (const { key, line, hint } of unknownKeys) {
      const where = line === undefined ? path : `${path}, line ${line}`;
      yield { severity: "warning", message: `containerd ignores ${key} (${where})`, hint };
    }
  }
}

function withoutPayload({ processors }: ContainerdConfig, reason: string): Finding {
  const without = "pulls by Kubernetes pass no payload to the decoder";
  const isOff = PAYLOAD_IDS.some((id) => argsOf(processors.get(id))?.store.useContentStore === false);
  if (isOff) {
    return {
      severity: "error",
      message: `${without} (${reason}), and --no-content-store keeps it from finding the layer's descriptor`,
      hint: "remove --no-content-store",
    };
  }
  return {
    severity: "note",
    message: `${without} (${reason}); ctd-decoder then finds the layer's descriptor in containerd's content store, other decoders fail`,
  };
}
