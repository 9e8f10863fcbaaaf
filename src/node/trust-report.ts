import { existsSync, readdirSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import type { ContainerdConfig } from "../containerd/config.ts";
import { readImageVerifier } from "../containerd/image-verifier.ts";
import { PAYLOAD_IDS } from "../containerd/stream-processors.ts";
import type { ContainerdVersion } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import { runCommand } from "../process/command.ts";
import * as LIMITS from "../system-limits.ts";
import { breakGlassFindings } from "../trust/break-glass.ts";
import { lintPolicy } from "../trust/lint.ts";
import { checkWriters } from "../trust/owned-files.ts";
import { parseImageName } from "../trust/policy/image-name.ts";
import { type LoadedPolicy, loadPolicy } from "../trust/policy/read-policy.ts";
import { decidedWithoutSignatures } from "../trust/requirement-tree.ts";
import { readGateSettings, SETTINGS_FILE, type TrustSettings } from "../trust/settings.ts";
import { clockFindings, rootFindings } from "../trust/validity.ts";
import { attempt } from "./attempt.ts";
import { argsOf } from "./check-processors.ts";
import { checkVerifier, LINK_NAME, withoutVerifier } from "./check-verifier.ts";
import type { Finding } from "./finding.ts";
import { NodeRoot } from "./node-root.ts";
import { reachRegistries } from "./registry-report.ts";

/** A node's set-up for signature checks. */
export interface TrustReport {
  /** trust.toml, or a bare policy that the gate names. */
  readonly settings: string;
  readonly policy?: string;
  readonly format?: string;
  /** containerd's folder of verifiers; undefined for a containerd without. */
  readonly binDir?: string;
  /** Whether every stream processor of encrypted layers has the decoder's gate. */
  readonly hasGate: boolean;
  readonly findings: readonly Finding[];
}

interface TrustContext {
  readonly config: ContainerdConfig;
  /** Undefined if the version is unknown: then the latest is assumed. */
  readonly version: ContainerdVersion | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly settingsFile?: string;
}

const LATEST: ContainerdVersion = { major: 2, minor: Number.POSITIVE_INFINITY, patch: 0 };
const NODE = new NodeRoot("");
/** An image that no registry has: `invalid` is reserved (RFC 2606 §2). */
const PROBE = "ctd-decoder.invalid/doctor:probe";
const PROBE_DIGEST = `sha256:${"0".repeat(64)}`;
const DESCRIPTOR_TYPE = "application/vnd.oci.descriptor.v1+json";
const CRIO_POLICIES = "/etc/crio/policies";

/** Finds every reason why images would not be checked; undefined on a node without signature checks. */
export async function reportTrust(context: TrustContext): Promise<TrustReport | undefined> {
  const { config, version = LATEST, settingsFile = SETTINGS_FILE } = context;
  const gates = PAYLOAD_IDS.map((id) => argsOf(config.processors.get(id))?.trust.policyFile);
  const hasVerifier = version.major >= 2;
  const { binDir } = readImageVerifier(config);
  const link = join(binDir, LINK_NAME);
  const isWanted = existsSync(settingsFile) || gates.some((it) => it !== undefined) || NODE.isTaken(link);
  if (!isWanted) return undefined;

  const findings: Finding[] = [];
  const settings = existsSync(settingsFile)
    ? settingsFile
    : (gates.find((it) => it !== undefined) ?? settingsFile);
  const read = attempt(findings, () => readGateSettings(settings));
  const policy = read && (await attempt(findings, () => loadPolicy(read.policy, read)));
  if (read !== undefined) {
    findings.push(...clockFindings([settings, read.policy], Date.now()));
    findings.push(...(attempt(findings, () => breakGlassFindings(read.breakGlass, Date.now())) ?? []));
  }
  const root = read?.trustedRoot;
  if (root !== undefined) findings.push(...(attempt(findings, () => rootFindings(root, Date.now())) ?? []));
  if (read !== undefined && policy !== undefined) {
    findings.push(...(await lintPolicy(policy, read.policy, true)));
    findings.push(...(await reachRegistries(policy.policy, read, context.environment)));
  }
  findings.push(...gateFindings(config, gates));
  const unused = withoutVerifier(config, version);
  const isUnchecked = unused !== undefined && gates.includes(undefined);
  if (unused !== undefined) findings.push({ ...unused, severity: isUnchecked ? "error" : "warning" });
  if (hasVerifier) findings.push(...(await verifierFindings(context, { link, settings: read, policy })));
  if (existsSync(CRIO_POLICIES)) findings.push(ignoredPolicies());
  return {
    settings,
    ...(read && { policy: read.policy }),
    ...(policy && { format: policy.policy.format }),
    ...(hasVerifier && { binDir }),
    hasGate: !gates.includes(undefined),
    findings,
  };
}

function* gateFindings(
  { processors }: ContainerdConfig,
  gates: readonly (string | undefined)[],
): Generator<Finding> {
  const open = PAYLOAD_IDS.filter((id, i) => processors.has(id) && gates[i] === undefined);
  if (open.length === 0) return;
  const isPartial = open.length < PAYLOAD_IDS.length;
  yield {
    severity: isPartial ? "error" : "warning",
    message: `${open.join(" and ")} decrypts without --trust-policy: images that come by another way than a pull are not checked`,
    hint: "run `ctd-decoder install --trust POLICY`",
  };
}

interface Verifier {
  /** Our link in the folder of verifiers. */
  readonly link: string;
  readonly settings: TrustSettings | undefined;
  readonly policy: LoadedPolicy | undefined;
}

async function verifierFindings(
  { config, environment }: TrustContext,
  { link, settings, policy }: Verifier,
): Promise<readonly Finding[]> {
  const { binDir, timeoutMs } = readImageVerifier(config);
  if (!isAbsolute(binDir)) return [...checkVerifier(config, NODE)];
  const findings = [...checkVerifier(config, NODE), ...writersOf(config)];
  if (settings !== undefined && settings.deadlineMs >= timeoutMs)
    findings.push({
      severity: "error",
      message: `the deadline of ${settings.deadlineMs / 1000} s is not shorter than containerd's per_verifier_timeout of ${timeoutMs / 1000} s: the reason of a refusal would be lost`,
      hint: "lower deadline in trust.toml, or raise per_verifier_timeout",
    });
  if (NODE.isExecutable(link)) findings.push(...(await probe(link, policy, environment)));
  return findings;
}

/** Users who can change a verifier or its folder decide which images run. */
function writersOf(config: ContainerdConfig): Finding[] {
  const { binDir } = readImageVerifier(config);
  const findings: Finding[] = [];
  for (const name of listed(binDir)) {
    const path = join(binDir, name);
    attempt(findings, () => checkWriters(path));
  }
  return findings;
}

function listed(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => existsSync(join(folder, name))) : [];
}

/** Calls the verifier as containerd does, with an image that the policy can't accept. */
async function probe(
  link: string,
  policy: LoadedPolicy | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly Finding[]> {
  if (policy !== undefined && acceptsProbe(policy)) return [];
  const descriptor = { mediaType: "application/vnd.oci.image.index.v1+json", digest: PROBE_DIGEST, size: 2 };
  const args = ["-name", PROBE, "-digest", PROBE_DIGEST, "-stdin-media-type", DESCRIPTOR_TYPE];
  const { end, output } = await runCommand(link, args, {
    input: Buffer.from(`${JSON.stringify(descriptor)}\n`),
    environment: { PATH: environment["PATH"] },
    timeoutMs: LIMITS.verifierProbeMs,
    outputBytes: LIMITS.verifierProbeBytes,
    errorBytes: 0,
  });
  const said = Buffer.from(output).toString().trim();
  if (end.kind === "exit" && end.code === 0)
    return [{ severity: "error", message: `${link} accepted ${PROBE}, an image that does not exist` }];
  if (end.kind !== "exit" || !said.startsWith("trust: "))
    return [
      { severity: "error", message: `${link} does not answer as this program does: ${said || end.kind}` },
    ];
  if (!said.startsWith("trust: config: ")) return [];
  return [{ severity: "error", message: `${link} refuses every pull: ${said.slice("trust: ".length)}` }];
}

/** A policy whose default accepts images is reported by itself. */
function acceptsProbe({ policy }: LoadedPolicy): boolean {
  const name = parseImageName(PROBE);
  if (name === undefined) throw new Error("bug: the probe's name is malformed");
  try {
    return (
      decidedWithoutSignatures(policy.requirementFor({ transport: "docker", name }).requirement) === true
    );
  } catch (error) {
    if (error instanceof DecoderError) return false;
    throw error;
  }
}

function ignoredPolicies(): Finding {
  return {
    severity: "note",
    message: `the policies of namespaces in ${CRIO_POLICIES} do not apply: containerd passes no namespace to a verifier`,
  };
}
