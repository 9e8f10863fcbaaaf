import { statSync } from "node:fs";
import { type ContainerdConfig, readContainerdConfig } from "../containerd/config.ts";
import {
  knownConfigFiles,
  printedVersion,
  type RunningContainerd,
  runningContainerds,
} from "../containerd/process.ts";
import {
  flagValue,
  GZIP_ID,
  KEYS_PATH,
  PROVIDER_CONFIG,
  PROVIDER_VARIABLE,
  type StreamProcessor,
  TAR_ID,
  variableValue,
} from "../containerd/stream-processors.ts";
import { type ContainerdVersion, parseContainerdVersion } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import type { ImageInfo } from "../image/inspect.ts";
import type { KeySet } from "../keys/keyset.ts";
import { loadKeys } from "../keys/load.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { findExecutable } from "../process/find-executable.ts";
import type { TransportSettings } from "../transport/transport.ts";
import { type ConfigCheck, checkConfig, localLookup } from "./check-config.ts";
import { argsOf, INSTALL } from "./check-processors.ts";
import { type Finding, isHealthy } from "./finding.ts";
import { type KeyReport, reportKeys } from "./key-report.ts";
import { type ProviderReport, reportProviders } from "./provider-report.ts";
import { type SelfTest, selfTest } from "./self-test.ts";

export interface DoctorOptions {
  /** containerd's configuration; undefined: the running containerd's, else the file at a usual path. */
  readonly configFile?: string;
  readonly version?: ContainerdVersion;
  /** Private keys; undefined: the path in the configuration. */
  readonly keysPath?: string;
  /** An image to try the keys on: "oci:DIR", "docker://NAME", or a name in containerd's store. */
  readonly image?: string;
  /** How a registry is reached. */
  readonly transport?: TransportSettings;
  /** Without a running containerd, its PATH is taken from this environment. */
  readonly settings: WrapSettings;
}

/** What a node needs to pull encrypted images, and what of it is missing. Nothing in it is secret. */
export interface Diagnosis {
  readonly healthy: boolean;
  readonly containerd: ContainerdReport;
  readonly config?: ConfigCheck;
  readonly keys?: KeyReport;
  readonly providers?: ProviderReport;
  readonly selfTest: readonly SelfTest[];
  readonly image?: ImageInfo;
  /** Findings about anything else. */
  readonly findings: readonly Finding[];
}

export interface ContainerdReport {
  readonly running?: Pick<RunningContainerd, "pid" | "executable">;
  /** Output of `containerd --version`. */
  readonly version?: string;
  readonly configFile?: string;
}

/** containerd's data folder if its configuration does not name one. */
const USUAL_ROOT = "/var/lib/containerd";

/** Checks everything that decryption on this node needs. Changes nothing, and reports failures as findings. */
export async function diagnose(options: DoctorOptions): Promise<Diagnosis> {
  const findings: Finding[] = [];
  const running = findContainerd(options, findings);
  const searchPath = running?.searchPath || (options.settings.environment["PATH"] ?? "");
  const executable = running?.executable ?? findExecutable("containerd", searchPath);
  const printed = executable === undefined ? "" : printedVersion(executable).trim();
  const version = options.version ?? parseContainerdVersion(printed);
  const configFile = options.configFile ?? running?.configFile ?? knownConfigFiles()[0];

  const config = attempt(findings, () =>
    configFile === undefined ? undefined : readContainerdConfig(configFile),
  );
  const check =
    config && checkConfig(config, { lookup: localLookup(searchPath), ...(version && { version }) });
  if (config !== undefined) findings.push(...changedSince(running, config));
  const decoder = decoderOf(config);
  const keysPath = options.keysPath ?? flagValue(decoder?.args ?? [], "decryption-keys-path") ?? KEYS_PATH;
  const keys = await attempt(findings, () => loadKeysAs(decoder, keysPath));
  const keyReport = keys && reportKeys(keysPath, keys);
  const providers = await reportProviders(
    variableValue(decoder?.env ?? [], PROVIDER_VARIABLE) ?? PROVIDER_CONFIG,
    searchPath,
  );
  const tests =
    keys === undefined ? [] : await testKeys({ ...options, keysPath }, keys, decoder, searchPath, findings);
  const image = await attempt(findings, () => inspect(options, keys, config?.root ?? USUAL_ROOT));
  if (image !== undefined) findings.push(...unopenedLayers(image));

  const all = [findings, check?.findings, keyReport?.findings, providers.findings].flatMap((it) => it ?? []);
  return {
    healthy: isHealthy(all) && tests.every(({ problem }) => problem === undefined),
    containerd: {
      ...(running && { running: { pid: running.pid, executable: running.executable } }),
      ...(printed !== "" && { version: printed }),
      ...(configFile !== undefined && { configFile }),
    },
    ...(check && { config: check }),
    ...(keyReport && { keys: keyReport }),
    providers,
    selfTest: tests,
    ...(image && { image }),
    findings,
  };
}

function findContainerd({ configFile }: DoctorOptions, findings: Finding[]): RunningContainerd | undefined {
  const all = runningContainerds();
  const here = all.filter(({ sharesFiles }) => sharesFiles);
  const [first, ...others] = here.filter((it) => (configFile ?? it.configFile) === it.configFile);
  if (first === undefined) findings.push(notFound(all));
  if (first !== undefined && others.length > 0) {
    findings.push({
      severity: "note",
      message: `several containerds are running; this report is about process ${first.pid}`,
      hint: `name the configuration of another with --config: ${others.map((it) => it.configFile).join(", ")}`,
    });
  }
  return first;
}

function notFound(all: readonly RunningContainerd[]): Finding {
  const elsewhere = all.find(({ sharesFiles }) => !sharesFiles);
  return {
    severity: "warning",
    message: "found no running containerd that shares this process's files",
    ...(elsewhere && {
      hint: `process ${elsewhere.pid} runs in another file system: nsenter -t ${elsewhere.pid} -a ctd-decoder doctor`,
    }),
  };
}

/** containerd reads its configuration once, at start. */
function* changedSince(
  running: RunningContainerd | undefined,
  { files }: ContainerdConfig,
): Generator<Finding> {
  const { pid, startedBy } = running ?? {};
  if (startedBy === undefined) return;
  const changed = files.filter(
    ({ path }) => (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) > startedBy,
  );
  if (changed.length === 0) return;
  yield {
    severity: "error",
    message: `containerd (process ${pid}) started before ${changed.map(({ path }) => path).join(", ")} changed, and still uses the old configuration`,
    hint: "restart it, for example by `systemctl restart containerd`",
  };
}

/** The result of `work`, or undefined and a finding with the reason. */
function attempt<T>(findings: Finding[], work: () => Promise<T>): Promise<T | undefined>;
function attempt<T>(findings: Finding[], work: () => T): T | undefined;
function attempt<T>(findings: Finding[], work: () => T | Promise<T>): T | undefined | Promise<T | undefined> {
  const failed = (error: unknown) => {
    if (!(error instanceof DecoderError)) throw error;
    const { message, hint } = error;
    findings.push({ severity: "error", message, ...(hint !== undefined && { hint }) });
    return undefined;
  };
  try {
    const result = work();
    return result instanceof Promise ? result.catch(failed) : result;
  } catch (error) {
    return failed(error);
  }
}

function decoderOf(config: ContainerdConfig | undefined): StreamProcessor | undefined {
  return config?.processors.get(TAR_ID) ?? config?.processors.get(GZIP_ID);
}

/** Loads the keys as the configured decoder does. The configuration check reports args that it refuses. */
async function loadKeysAs(decoder: StreamProcessor | undefined, keysPath: string): Promise<KeySet> {
  const { keyPasswordsPath, allowExternalSymlinks = false } = argsOf(decoder)?.keys ?? {};
  return await loadKeys({
    keysPath,
    strictKeys: false,
    allowExternalSymlinks,
    ...(keyPasswordsPath !== undefined && { keyPasswordsPath }),
  });
}

async function testKeys(
  { settings, keysPath }: DoctorOptions & { readonly keysPath: string },
  keys: KeySet,
  decoder: StreamProcessor | undefined,
  searchPath: string,
  findings: Finding[],
): Promise<SelfTest[]> {
  const program = decoder && findExecutable(decoder.path, searchPath);
  if (decoder === undefined || program === undefined) {
    findings.push({
      severity: "warning",
      message: "no decoder is installed and configured, so none was tested",
      hint: INSTALL,
    });
    return [];
  }
  const variables = decoder.env.map((it) => [it.slice(0, it.indexOf("=")), it.slice(it.indexOf("=") + 1)]);
  const environment = { ...settings.environment, PATH: searchPath, ...Object.fromEntries(variables) };
  // The last --decryption-keys-path counts.
  const args = [...decoder.args, "--decryption-keys-path", keysPath];
  return await selfTest({ keys, keysPath, program, args, settings: { ...settings, environment } });
}

async function inspect(
  { image, settings, transport }: DoctorOptions,
  keys: KeySet | undefined,
  root: string,
): Promise<ImageInfo | undefined> {
  if (image === undefined) return undefined;
  const { inspectImage, inspectSource } = await import("../image/inspect.ts");
  const options = { platforms: [], settings, ...(keys && { keys }) };
  const { namesTransport, parseSource } = await import("../transport/reference.ts");
  if (namesTransport(image)) return await inspectImage({ ...options, source: parseSource(image, transport) });
  const { openContainerdImage } = await import("./containerd-image.ts");
  return await inspectSource(await openContainerdImage(root, image), options);
}

function* unopenedLayers({ platforms }: ImageInfo): Generator<Finding> {
  for (const { platform, layers } of platforms) {
    for (const { position, encryption } of layers) {
      if (encryption === undefined || encryption.opens) continue;
      yield {
        severity: "error",
        message: `no key here opens layer ${position} of the image for ${platform}`,
      };
    }
  }
}
