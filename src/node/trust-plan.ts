import { basename, extname, join } from "node:path";
import { type ContainerdConfig, isTable, parseConfig, readConfigText } from "../containerd/config.ts";
import { type ImageVerifierConfig, readImageVerifier } from "../containerd/image-verifier.ts";
import { flagValue, GATE_FLAG, type StreamProcessor } from "../containerd/stream-processors.ts";
import type { ContainerdVersion } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { fileBeside, filesOf, lintRules, materialFindings, materialsOf } from "../trust/lint.ts";
import type { Policy } from "../trust/policy/policy.ts";
import { loadPolicy } from "../trust/policy/read-policy.ts";
import { readTrustFile } from "../trust/policy/trust-file.ts";
import { parseTime, SETTINGS_FILE, SETTINGS_FOLDER } from "../trust/settings.ts";
import type { FileChange } from "./changes.ts";
import { checkVerifier, LINK_NAME, withoutVerifier } from "./check-verifier.ts";
import { type Finding, refuseErrors } from "./finding.ts";
import type { NodeRoot } from "./node-root.ts";
import type { InstallRecord } from "./record.ts";

/** Files and links that make a node check signatures. */
interface TrustPlan {
  /** Policy, keys and settings: they come before the program that reads them. */
  readonly files: readonly FileChange[];
  /** Our link in containerd's folder of verifiers: it comes last, because containerd runs it from then on. */
  readonly links: readonly FileChange[];
  readonly findings: readonly Finding[];
}

interface TrustOptions {
  /** The policy, on this machine; undefined: the one that was installed stays. */
  readonly policy: string | undefined;
  /** Path of the program on the node. */
  readonly program: string;
  /** containerd's configuration as it will be. */
  readonly config: ContainerdConfig;
  readonly version: ContainerdVersion;
  /** The record of earlier installations. */
  readonly before: InstallRecord;
}

/** Share of containerd's time limit that a check may take: a verifier that is killed gives no reason. */
const DEADLINE_SHARE = 5 / 6;

/** @throws DecoderError CONFIG, LIMIT for a policy or a folder of verifiers that would not do what it is for */
export async function planTrust(node: NodeRoot, options: TrustOptions): Promise<TrustPlan> {
  const { config, version, policy } = options;
  const verifier = readImageVerifier(config);
  const unused = withoutVerifier(config, version);
  const links = version.major < 2 ? [] : [linkIn(node, verifier, options)];
  const { files, findings } =
    policy === undefined ? { files: [], findings: [] } : await planPolicy(node, policy, verifier);
  const present = links.map(({ path }) => path);
  const folder = {
    list: (path: string) =>
      [...new Set([...node.list(path), ...(path === verifier.binDir ? [LINK_NAME] : [])])].sort(),
    isExecutable: (path: string) => present.includes(path) || node.isExecutable(path),
  };
  const all = [
    ...(unused === undefined ? [] : [unused]),
    ...(version.major < 2 ? [] : checkVerifier(config, folder)),
    ...findings,
  ];
  refuseErrors(all);
  return { files, links, findings: all };
}

/** Findings about files that the processors' gate needs, and that neither exist nor are about to be written. */
export function gateFindings(
  node: NodeRoot,
  processors: Iterable<StreamProcessor>,
  changes: readonly FileChange[],
): Finding[] {
  const exists = (path: string) => node.exists(path) || changes.some((it) => it.path === path);
  const named = [...processors].flatMap(({ args }) => flagValue(args, GATE_FLAG) ?? []);
  const policies = named.includes(SETTINGS_FILE) ? [readSettings(node).policy ?? SETTINGS_FILE] : [];
  return [...new Set([...named, ...policies])]
    .filter((path) => !exists(path))
    .map((path) => ({
      severity: "warning",
      message: `${path} does not exist, and the decoder's gate needs it: the decoder refuses every encrypted image`,
      hint: `run \`ctd-decoder install --trust POLICY\`, or remove --${GATE_FLAG} from the stream processors' args`,
    }));
}

/** @throws DecoderError CONFIG when something that is not ours has the link's name */
function linkIn(
  node: NodeRoot,
  { binDir }: ImageVerifierConfig,
  { program, before }: TrustOptions,
): FileChange {
  const path = join(binDir, LINK_NAME);
  const isOurs = before.files.some((file) => file.path === path && file.kind === "link");
  if (!isOurs && node.linkOf(path) !== program && node.isTaken(path)) {
    throw new DecoderError("CONFIG", `${path} already exists and is not a link to ${program}`, {
      hint: `remove ${path}, and run this again`,
    });
  }
  return { path, kind: "link", content: { linkTo: program } };
}

/** Files to write: the policy, the key files that it names, and trust.toml unless the node has one. */
async function planPolicy(
  node: NodeRoot,
  source: string,
  verifier: ImageVerifierConfig,
): Promise<Pick<TrustPlan, "files" | "findings">> {
  const settings = readSettings(node);
  const { policy, bytes } = await loadPolicy(source, { ...settings, trustedRoot: undefined });
  const path = settings.policy ?? join(SETTINGS_FOLDER, `policy${extname(source) || ".json"}`);
  const text = Buffer.from(bytes).toString("utf8");
  const copies = copiesFor(policy, source);
  const deadline = Math.floor((verifier.timeoutMs * DEADLINE_SHARE) / 1000);
  const written: FileChange = {
    path: SETTINGS_FILE,
    kind: "trust",
    content: { text: settingsFile(path, deadline) },
  };
  return {
    files: [...copies, { path, kind: "trust", content: { text } }, ...(settings.exists ? [] : [written])],
    findings: [
      ...lintRules(policy),
      ...(await fileFindings(node, policy, copies)),
      ...deadlineFindings(settings, verifier),
    ],
  };
}

function settingsFile(policy: string, seconds: number): string {
  return [
    "# Settings of the image verifier and of the decoder's gate. Only root may write this file, the policy and the keys.",
    `policy = ${JSON.stringify(policy)}`,
    "# Time limit of a check. It must be shorter than containerd's per_verifier_timeout.",
    `deadline = "${Math.max(seconds, 1)}s"`,
    "",
  ].join("\n");
}

interface NodeSettings {
  readonly exists: boolean;
  readonly policy: string | undefined;
  readonly deadlineMs: number;
  readonly unmatched: "accept" | "reject";
  readonly scopeIsIdentity: boolean;
}

/** Reads a node's trust.toml. `doctor` checks the rest of it on the node. @throws DecoderError CONFIG */
function readSettings(node: NodeRoot): NodeSettings {
  const exists = node.exists(SETTINGS_FILE);
  const table = exists ? parseConfig(readConfigText(SETTINGS_FILE, node), SETTINGS_FILE) : {};
  const { policy, deadline, unmatched, bundle_identity: identity } = isTable(table) ? table : {};
  return {
    exists,
    policy: typeof policy === "string" ? policy : undefined,
    deadlineMs: parseTime(deadline) ?? LIMITS.verifierMs,
    unmatched: unmatched === "accept" ? "accept" : "reject",
    scopeIsIdentity: identity === "scope",
  };
}

function* deadlineFindings(
  { exists, deadlineMs }: NodeSettings,
  { timeoutMs }: ImageVerifierConfig,
): Generator<Finding> {
  if (!exists || deadlineMs < timeoutMs) return;
  yield {
    severity: "error",
    message: `the deadline of ${SETTINGS_FILE} is not shorter than containerd's per_verifier_timeout: the reason of a refusal would be lost`,
    hint: `set deadline to less than ${timeoutMs / 1000} s`,
  };
}

/** Keys that lie beside the policy, for the paths in our folder by which the policy names them. */
function copiesFor(policy: Policy, source: string): FileChange[] {
  return filesOf(policy).flatMap((path) => {
    const beside = fileBeside(source, path);
    if (beside === undefined) return [];
    return [{ path, kind: "trust", content: { copyOf: beside } } as const];
  });
}

async function fileFindings(
  node: NodeRoot,
  policy: Policy,
  copies: readonly FileChange[],
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const material of materialsOf(policy)) {
    if ("file" in material) {
      findings.push(...(await materialFindings(material.kind, () => material.file)));
      continue;
    }
    const { path, kind } = material;
    const copy = copies.find((it) => it.path === path)?.content;
    const read = () =>
      copy !== undefined && "copyOf" in copy
        ? readTrustFile(copy.copyOf)
        : { name: path, bytes: node.read(path, LIMITS.trustFileBytes) };
    if (copy === undefined && !node.exists(path))
      findings.push({
        severity: "error",
        message: `the policy names ${path}, which the node does not have`,
        hint: `copy it to the node, or put ${basename(path)} beside the policy and name it ${join(SETTINGS_FOLDER, basename(path))} there`,
      });
    else findings.push(...(await materialFindings(kind, read)));
  }
  return findings;
}
