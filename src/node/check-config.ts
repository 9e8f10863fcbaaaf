import { isAbsolute } from "node:path";
import { type ContainerdConfig, readContainerdConfig } from "../containerd/config.ts";
import { PAYLOAD_IDS } from "../containerd/stream-processors.ts";
import { type ContainerdVersion, formatVersion } from "../containerd/version.ts";
import { expectPayload, ignoredSettings } from "./check-payload.ts";
import { checkProcessors } from "./check-processors.ts";
import type { Finding } from "./finding.ts";

export interface ConfigCheckOptions {
  /** Of the containerd that reads it; undefined: the one that the file's version is meant for. */
  readonly version?: ContainerdVersion;
  /** containerd's PATH. */
  readonly searchPath: string;
}

export interface ConfigCheck {
  /** All files that were read, imports included. */
  readonly files: readonly string[];
  /** "2.1.9", "1.x" */
  readonly containerd: string;
  /** Whether pulls by Kubernetes pass a layer's descriptor to the decoder. */
  readonly payload: boolean;
  readonly findings: readonly Finding[];
}

/** What of a containerd configuration would keep encrypted images from being pulled. @throws DecoderError CONFIG, LIMIT */
export function checkConfigFile(path: string, options: ConfigCheckOptions): ConfigCheck {
  return checkConfig(readContainerdConfig(path), options);
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
      ...checkProcessors(config.processors, options.searchPath),
      ...ignoredSettings(config, version),
      ...(payload.isPassed ? [] : [withoutPayload(config, payload.reason)]),
    ],
  };
}

function meantFor({ version }: ContainerdConfig): ContainerdVersion {
  const latest = Number.POSITIVE_INFINITY;
  return { major: version >= 3 ? 2 : 1, minor: latest, patch: latest };
}

/** The newest version of each: 1.x reads 2, 2.0 to 2.2 read 3, later ones 4. */
function* checkFiles(
  { files, version }: ContainerdConfig,
  containerd: ContainerdVersion,
): Generator<Finding> {
  if (containerd.major < 2 && version > 2) {
    yield {
      severity: "error",
      message: `containerd ${formatVersion(containerd)} does not read a configuration of version ${version}`,
      hint: "use version 2, as ctd-decoder config --containerd 1.x prints it",
    };
  }
  const isOld = containerd.major < 2 && containerd.minor <= 6;
  for (const file of files) {
    const lost = isOld ? file.imports.filter((it) => it.includes("*") && !isAbsolute(it)) : [];
    if (lost.length > 0) {
      yield {
        severity: "error",
        message: `${file.path} imports ${lost.join(", ")}, which containerd 1.6 looks for in its working directory`,
        hint: "write the whole path",
      };
    }
    if (file.version <= version) continue;
    yield {
      severity: "error",
      message: `${file.path} is of version ${file.version}, higher than that of the file that imports it: newer containerds refuse that`,
      hint: `write version = ${version} in it`,
    };
  }
}

function withoutPayload({ processors }: ContainerdConfig, reason: string): Finding {
  const without = "pulls by Kubernetes pass no payload to the decoder";
  const isOff = PAYLOAD_IDS.some((id) =>
    processors.get(id)?.args.some((arg) => /^--?no-content-store/.test(arg)),
  );
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
