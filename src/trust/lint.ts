import { existsSync } from "node:fs";
import { DecoderError } from "../errors.ts";
import { readCertificateFile } from "./check/evidence.ts";
import { keysOf } from "./check/trust-files.ts";
import { checkWriters } from "./owned-files.ts";
import { parseImageName } from "./policy/image-name.ts";
import type { LoadedPolicy } from "./policy/read-policy.ts";
import { readTrustFile } from "./policy/trust-file.ts";
import type { PolicyFinding } from "./policy-finding.ts";
import type { TrustFile } from "./requirement.ts";
import { decidedWithoutSignatures, leavesOf } from "./requirement-tree.ts";
import { certificateFindings } from "./validity.ts";

/** What every node pulls before anything else, and from where Kubernetes has it. */
const BOOTSTRAP = "registry.k8s.io/pause:3.10";
/** A name that no policy mentions. */
const UNKNOWN = "unheard-of.invalid/image:1";

/**
 * What is likely wrong with a policy that can be read at all.
 * @param path the policy
 */
export async function lintPolicy({ policy }: LoadedPolicy, path: string): Promise<readonly PolicyFinding[]> {
  const files = filesOf(policy);
  const present = files.filter((file) => existsSync(file));
  const problems = await Promise.all(
    present.map(async (file) => await materialFindings(() => readTrustFile(file))),
  );
  return [
    ...[path, ...files].flatMap(writersFinding),
    ...files.filter((file) => !existsSync(file)).map(missingFinding),
    ...problems.flat(),
    ...lintRules(policy),
  ];
}

/** Files that a policy names, each once. */
export function filesOf({ rules }: LoadedPolicy["policy"]): readonly string[] {
  return [...new Set(rules.flatMap(({ files }) => files))];
}

/** What is likely wrong with a policy by itself, without its files. */
export function lintRules(policy: LoadedPolicy["policy"]): readonly PolicyFinding[] {
  return [...policy.rules.flatMap(({ scope }) => scopeFinding(scope)), ...nameFindings(policy)];
}

/** Whether a file of a policy holds public keys, certificates or an OpenPGP keyring. */
export async function materialFindings(read: () => TrustFile): Promise<readonly PolicyFinding[]> {
  try {
    const file = read();
    const text = Buffer.from(file.bytes).toString("latin1");
    if (/^-----BEGIN (?!PGP |CERTIFICATE-----)/m.test(text)) return severalKeys(file);
    if (text.includes("-----BEGIN CERTIFICATE-----"))
      return certificateFindings(readCertificateFile(file), file.name, Date.now());
    await (await import("./check/gpg.ts")).readKeyring(file);
    return [];
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    const hint = "images of that scope are refused";
    return [{ severity: "error", message: error.message, hint }];
  }
}

/** @throws DecoderError BAD_KEY */
function severalKeys(file: TrustFile): PolicyFinding[] {
  const { length } = keysOf(file);
  if (length === 1) return [];
  const message = `${file.name} has ${length} public keys, of which only the first counts`;
  return [
    { severity: "warning", message, hint: "put each into a file of its own, and list them in keyPaths" },
  ];
}

function writersFinding(path: string): PolicyFinding[] {
  if (!existsSync(path)) return [];
  try {
    checkWriters(path);
    return [];
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    return [
      { severity: "warning", message: error.message, hint: "the verifier and the gate refuse such files" },
    ];
  }
}

function missingFinding(file: string): PolicyFinding {
  return { severity: "error", message: `${file} does not exist`, hint: "images of that scope are refused" };
}

/** Scopes compare with expanded names, character by character: many that people write never match. */
function scopeFinding(scope: string): PolicyFinding[] {
  const [, text] = /^docker scope "(.+)"$/.exec(scope) ?? [];
  if (text === undefined || text.startsWith("*.")) return [];
  const warn = (message: string, hint: string): PolicyFinding[] => [
    { severity: "warning", message: `${scope}: ${message}`, hint },
  ];
  if (/^[a-z]+:\/\//.test(text)) return warn("it never matches", "leave the scheme out");
  if (text.endsWith("/")) return warn("it never matches", "leave the last slash out");
  if (text.includes("*"))
    return warn("it never matches", "a wildcard stands for the first labels of a host only");
  const host = text.split("/", 1)[0] ?? "";
  const isHost = /[.:]/.test(host) || host === "localhost";
  const name = isHost ? parseImageName(`${text.includes("/") ? text : `${text}/x`}`) : undefined;
  if (!isHost) return warn("it never matches", `write the registry's name, as in docker.io/library/${text}`);
  if (name === undefined) return warn("it never matches", "it is not the beginning of an image's name");
  return [];
}

function nameFindings(policy: LoadedPolicy["policy"]): PolicyFinding[] {
  const decide = (text: string) => {
    const name = parseImageName(text);
    if (name === undefined) throw new Error("bug: a constant name is malformed");
    try {
      const { requirement } = policy.requirementFor({ transport: "docker", name });
      return { decided: decidedWithoutSignatures(requirement), leaves: [...leavesOf(requirement)] };
    } catch (error) {
      if (error instanceof DecoderError) return undefined;
      throw error;
    }
  };
  const findings: PolicyFinding[] = [];
  if (decide(UNKNOWN)?.decided === true) {
    findings.push({
      severity: "warning",
      message: "images of registries that the policy does not name are accepted without a signature",
      hint: 'make the default [{"type": "reject"}] and name the registries that are trusted',
    });
  }
  if (decide(BOOTSTRAP)?.decided === false) {
    findings.push({
      severity: "warning",
      message: "registry.k8s.io is rejected: a node can't pull the pause image, and starts no pod",
      hint: "give registry.k8s.io a scope of its own, or load its images beforehand",
    });
  }
  for (const { label, signer } of decide(UNKNOWN)?.leaves ?? []) {
    if (signer.kind === "keys") findings.push(...signer.keys.flatMap((key) => keyFinding(key, label)));
  }
  return findings;
}

function keyFinding(key: Parameters<typeof keysOf>[0], label: string): PolicyFinding[] {
  try {
    keysOf(key);
    return [];
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    return [{ severity: "error", message: `${label}: ${error.message}` }];
  }
}
