import { readContainerdConfig, USUAL_ROOT } from "../containerd/config.ts";
import { knownConfigFiles, printedVersion, type RunningContainerd } from "../containerd/process.ts";
import {
  flagValue,
  GATE_FLAG,
  KEYS_PATH,
  PROVIDER_CONFIG,
  PROVIDER_VARIABLE,
  type StreamProcessor,
  TAR_ID,
  variableValue,
  withoutFlag,
} from "../containerd/stream-processors.ts";
import { type ContainerdVersion, parseContainerdVersion } from "../containerd/version.ts";
import type { FlagName } from "../decoder/flags.ts";
import type { ImageInfo } from "../image/inspect.ts";
import type { KeySet } from "../keys/keyset.ts";
import { loadKeys } from "../keys/load.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import { findExecutable } from "../process/find-executable.ts";
import { SealRecords } from "../tenants/seal-record.ts";
import type { TransportSettings } from "../transport/transport.ts";
import { attempt } from "./attempt.ts";
import { type ConfigCheck, checkConfig, localLookup } from "./check-config.ts";
import { argsOf, INSTALL } from "./check-processors.ts";
import { findContainerd, pendingRestart } from "./containerd-report.ts";
import { type DecoderReport, reportDecoder } from "./decoder-report.ts";
import { type Finding, isHealthy } from "./finding.ts";
import { reportImage, unopenedImages, unopenedLayers } from "./image-report.ts";
import { imageVerdict } from "./image-verdict.ts";
import { type KeyReport, reportKeys, usableKeys } from "./key-report.ts";
import { type ProviderReport, reportProviders } from "./provider-report.ts";
import { lastRefusals, type Refusal } from "./refusals.ts";
import { type SelfTest, selfTest } from "./self-test.ts";
import { reportTenants, type TenantsReport } from "./tenants-report.ts";
import { reportTrust, type TrustReport } from "./trust-report.ts";

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

/** Flags that need an image in the content store. The self-test's layer is in none, so the decoder would refuse it. */
const STORE_FLAGS: readonly FlagName[] = [
  GATE_FLAG,
  "tenant-keys",
  "kubeconfig",
  "node-name",
  "key-scopes",
  "sealed-dir",
];

/** What a node needs to pull encrypted images, and what of it is missing. Nothing in it is secret. */
export interface Diagnosis {
  readonly healthy: boolean;
  readonly containerd: ContainerdReport;
  readonly config?: ConfigCheck;
  /** Whose program the stream processors run. */
  readonly decoder?: DecoderReport;
  readonly keys?: KeyReport;
  readonly providers?: ProviderReport;
  /** Present on a node that checks signatures, or is meant to. */
  readonly trust?: TrustReport;
  readonly selfTest: readonly SelfTest[];
  /** What the self-test lacks; undefined if it ran. */
  readonly missing?: readonly string[];
  readonly image?: ImageInfo;
  /** How tenants are isolated; undefined for a node that is not set up for them. */
  readonly tenants?: TenantsReport;
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

/** Checks everything that decryption on this node needs. Changes nothing, and reports failures as findings. */
export async function diagnose(options: DoctorOptions): Promise<Diagnosis> {
  const findings: Finding[] = [];
  const { settings } = options;
  const { running, searchPath, containerd, version } = lookAround(options, findings);
  const config = attempt(findings, () =>
    containerd.configFile === undefined ? undefined : readContainerdConfig(containerd.configFile),
  );
  const check =
    config && checkConfig(config, { lookup: localLookup(searchPath), ...(version && { version }) });
  if (config !== undefined) findings.push(...pendingRestart(running, config));
  // containerd has an entry of this ID even if no file has one.
  const decoder = config?.processors.get(TAR_ID);
  const program = decoder && findExecutable(decoder.path, searchPath);
  const keysPath = options.keysPath ?? flagValue(decoder?.args ?? [], "decryption-keys-path") ?? KEYS_PATH;
  const hasTenantKeys = argsOf(decoder)?.tenants.tenantKeys !== undefined;
  const keys = await attempt(findings, () => loadKeysAs(decoder, keysPath));
  const tenants =
    config && version && (await reportTenants({ config, version, environment: settings.environment }));
  const environment = { ...settings.environment, PATH: searchPath };
  const trust = config && (await reportTrust({ config, version, environment }));
  const reports = {
    ...(check && { config: check }),
    ...(program !== undefined && { decoder: await reportDecoder(program, settings.environment) }),
    ...(keys && { keys: reportKeys(keysPath, keys, hasTenantKeys) }),
    providers: await reportProviders(
      variableValue(decoder?.env ?? [], PROVIDER_VARIABLE) ?? PROVIDER_CONFIG,
      searchPath,
    ),
    ...(tenants && { tenants }),
    ...(trust && { trust }),
  };
  const tests =
    (keys && (await testKeys({ keys, keysPath, decoder, program, searchPath, settings }, findings))) ?? [];
  const missing = [
    ...(usableKeys(reports.keys?.rows ?? []).length > 0 ? [] : ["a private key"]),
    ...(program === undefined ? ["a decoder that is installed and configured"] : []),
  ];
  const records = tenants && new SealRecords(tenants.sealedDirectory);
  const context = {
    keys,
    root: config?.root ?? USUAL_ROOT,
    running,
    records,
    trustSettings: trust?.settings,
    environment,
  };
  const image = await reportImages(options, context, findings);
  const all = [...findings, ...Object.values(reports).flatMap((it) => it.findings)];
  return {
    healthy: isHealthy(all) && tests.every(({ problem }) => problem === undefined),
    containerd,
    ...reports,
    selfTest: tests,
    ...(missing.length > 0 && { missing }),
    ...(image && { image }),
    refusals: await lastRefusals(settings.environment),
    findings,
  };
}

interface Surroundings {
  readonly running: RunningContainerd | undefined;
  /** containerd's PATH. */
  readonly searchPath: string;
  readonly containerd: ContainerdReport;
  /** Undefined if the version is unknown. */
  readonly version: ContainerdVersion | undefined;
}

function lookAround(options: DoctorOptions, findings: Finding[]): Surroundings {
  const running = findContainerd(options.configFile, findings);
  const searchPath = running?.searchPath || (options.settings.environment["PATH"] ?? "");
  const executable = running?.executable ?? findExecutable("containerd", searchPath);
  const printed = executable === undefined ? "" : printedVersion(executable).trim();
  const configFile = options.configFile ?? running?.configFile ?? knownConfigFiles()[0];
  const containerd = {
    ...(running && { running: { pid: running.pid, executable: running.executable } }),
    ...(printed !== "" && { version: printed }),
    ...(configFile !== undefined && { configFile }),
  };
  return { running, searchPath, containerd, version: options.version ?? parseContainerdVersion(printed) };
}

interface ImagesContext {
  readonly keys: KeySet | undefined;
  /** containerd's data folder. */
  readonly root: string;
  readonly running: RunningContainerd | undefined;
  /** Seal records of a node with tenants. */
  readonly records: SealRecords | undefined;
  /** trust.toml, or a policy alone; undefined on a node without signature checks. */
  readonly trustSettings: string | undefined;
  /** With containerd's PATH. */
  readonly environment: WrapSettings["environment"];
}

/** Reports on the image that --image names. Adds findings about it, and about unpacked images that no key here opens. */
async function reportImages(
  { image, settings, transport }: DoctorOptions,
  { keys, root, running, records, trustSettings, environment }: ImagesContext,
  findings: Finding[],
): Promise<ImageInfo | undefined> {
  const options = { settings, root, ...(keys && { keys }), ...(transport && { transport }) };
  const info = image === undefined ? undefined : await attempt(findings, () => reportImage(image, options));
  if (info !== undefined) findings.push(...unopenedLayers(info));
  if (image !== undefined && info !== undefined && trustSettings !== undefined)
    findings.push(...(await imageVerdict(image, info, { settingsFile: trustSettings, root, environment })));
  if (keys !== undefined && running !== undefined)
    findings.push(...(await unopenedImages({ ...options, ...(records && { records }) })));
  return info;
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
  /** The decoder's executable. */
  readonly program: string | undefined;
  readonly searchPath: string;
  readonly settings: WrapSettings;
}

async function testKeys(options: TestOptions, findings: Finding[]): Promise<readonly SelfTest[]> {
  const { keys, keysPath, decoder, program, searchPath, settings } = options;
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
  const args = [...STORE_FLAGS.reduce(withoutFlag, decoder.args), "--decryption-keys-path", keysPath];
  const testing = selfTest({ keys, keysPath, program, args, settings: { ...settings, environment } });
  return (await attempt(findings, () => testing)) ?? [];
}
