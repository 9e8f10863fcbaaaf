import { type ContainerdConfig, readContainerdConfig } from "../containerd/config.ts";
import { knownConfigFiles, printedVersion, type RunningContainerd } from "../containerd/process.ts";
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
import { findContainerd, pendingRestart } from "./containerd-report.ts";
import { type DecoderReport, reportDecoder } from "./decoder-report.ts";
import { type Finding, isHealthy } from "./finding.ts";
import { type KeyReport, reportKeys } from "./key-report.ts";
import { type ProviderReport, reportProviders } from "./provider-report.ts";
import { lastRefusals, type Refusal } from "./refusals.ts";
import { type SelfTest, selfTest } from "./self-test.ts";

interface DoctorOptions {
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
  /** Whose program the stream processors run. */
  readonly decoder?: DecoderReport;
  readonly keys?: KeyReport;
  readonly providers?: ProviderReport;
  readonly selfTest: readonly SelfTest[];
  readonly image?: ImageInfo;
  /** What the decoder refused lately, from the journal. */
  readonly refusals: readonly Refusal[];
  /** Findings about anything else. */
  readonly findings: readonly Finding[];
}

interface ContainerdReport {
  readonly running?: Pick<RunningContainerd, "pid" | "executable">;
  /** Output of `containerd --version`. */
  readonly version?: string;
  readonly configFile?: string;
}

/** containerd's data folder if its configuration does not name one. */
const USUAL_ROOT = "/var/lib/containerd";
/** A name that begins with a registry. */
const FULL_NAME = /^(?:localhost|[^/]*[.:][^/]*)\/./;

/** Checks everything that decryption on this node needs. Changes nothing, and reports failures as findings. */
export async function diagnose(options: DoctorOptions): Promise<Diagnosis> {
  const findings: Finding[] = [];
  const running = findContainerd(options.configFile, findings);
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
  if (config !== undefined) findings.push(...pendingRestart(running, config));
  const decoder = decoderOf(config);
  const program = decoder && findExecutable(decoder.path, searchPath);
  const decoderReport =
    program === undefined ? undefined : await reportDecoder(program, options.settings.environment);
  const keysPath = options.keysPath ?? flagValue(decoder?.args ?? [], "decryption-keys-path") ?? KEYS_PATH;
  const keys = await attempt(findings, () => loadKeysAs(decoder, keysPath));
  const keyReport = keys && reportKeys(keysPath, keys);
  const providers = await reportProviders(
    variableValue(decoder?.env ?? [], PROVIDER_VARIABLE) ?? PROVIDER_CONFIG,
    searchPath,
  );
  const { settings } = options;
  const tests = keys && (await testKeys({ keys, keysPath, decoder, searchPath, settings }, findings));
  const root = config?.root ?? USUAL_ROOT;
  const image = await attempt(findings, () => inspect(options, keys, root));
  if (image !== undefined) findings.push(...unopenedLayers(image));
  if (keys !== undefined && running !== undefined)
    findings.push(...(await unopenedImages(options, keys, root)));
  const refusals = await lastRefusals(options.settings.environment);

  const all = [
    findings,
    check?.findings,
    decoderReport?.findings,
    keyReport?.findings,
    providers.findings,
  ].flatMap((it) => it ?? []);
  return {
    healthy: isHealthy(all) && (tests ?? []).every(({ problem }) => problem === undefined),
    containerd: {
      ...(running && { running: { pid: running.pid, executable: running.executable } }),
      ...(printed !== "" && { version: printed }),
      ...(configFile !== undefined && { configFile }),
    },
    ...(check && { config: check }),
    ...(decoderReport && { decoder: decoderReport }),
    ...(keyReport && { keys: keyReport }),
    providers,
    selfTest: tests ?? [],
    ...(image && { image }),
    refusals,
    findings,
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

interface TestOptions {
  readonly keys: KeySet;
  readonly keysPath: string;
  readonly decoder: StreamProcessor | undefined;
  readonly searchPath: string;
  readonly settings: WrapSettings;
}

async function testKeys(options: TestOptions, findings: Finding[]): Promise<readonly SelfTest[]> {
  const { keys, keysPath, decoder, searchPath, settings } = options;
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
  const testing = selfTest({ keys, keysPath, program, args, settings: { ...settings, environment } });
  return (await attempt(findings, () => testing)) ?? [];
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
  const { ContainerdImages } = await import("./containerd-images.ts");
  const stored = await new ContainerdImages(root).open(image);
  if (stored !== undefined) return await inspectSource(stored, options);
  if (!FULL_NAME.test(image)) {
    throw new DecoderError("NOT_FOUND", `containerd has no image named ${JSON.stringify(image)}`, {
      hint: "give the full name with its registry, such as docker.io/library/app:tag",
    });
  }
  // containerd keeps nothing of a pull that failed: only the registry has the image.
  return await inspectImage({ ...options, source: parseSource(`docker://${image}`, transport) });
}

/** Images that run without any key, because they were unpacked when there was one. */
async function unopenedImages({ settings }: DoctorOptions, keys: KeySet, root: string): Promise<Finding[]> {
  const { inspectSource } = await import("../image/inspect.ts");
  const { ContainerdImages } = await import("./containerd-images.ts");
  const findings: Finding[] = [];
  await attempt([], async () => {
    for await (const { name, source } of new ContainerdImages(root).unpacked()) {
      const info = await attempt([], () => inspectSource(source, { platforms: [], settings, keys }));
      if (info === undefined || [...unopenedLayers(info)].length === 0) continue;
      findings.push({
        severity: "warning",
        message: `${name} is unpacked on this node, and runs although no key here opens it`,
        hint: `remove it by \`crictl rmi ${name}\``,
      });
    }
  });
  return findings;
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
