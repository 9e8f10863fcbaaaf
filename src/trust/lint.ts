import { existsSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { DecoderError, errnoOf } from "../errors.ts";
import { readCertificateFile } from "./check/evidence.ts";
import { keysOf } from "./check/trust-files.ts";
import { checkWriters } from "./owned-files.ts";
import { formatImageName, parseImageName } from "./policy/image-name.ts";
import type { FileReader, Material, MaterialKind } from "./policy/policy.ts";
import type { LoadedPolicy } from "./policy/read-policy.ts";
import { readTrustFile } from "./policy/trust-file.ts";
import type { PolicyFinding } from "./policy-finding.ts";
import type { TrustFile } from "./requirement.ts";
import { decidedWithoutSignatures } from "./requirement-tree.ts";
import { SETTINGS_FOLDER } from "./settings.ts";
import { certificateFindings } from "./validity.ts";

/** What every node pulls before anything else, and from where Kubernetes has it. */
const BOOTSTRAP = "registry.k8s.io/pause:3.10";
/** A name that no policy mentions. */
const UNKNOWN = "unheard-of.invalid/image:1";

/**
 * What is likely wrong with a policy that can be read at all.
 * @param path the policy
 * @param isInstalled whether a trust.toml names it: a node does not look for keys beside the policy
 */
export async function lintPolicy(
  { policy }: LoadedPolicy,
  path: string,
  isInstalled = false,
): Promise<readonly PolicyFinding[]> {
  const files = filesOf(policy);
  const otherwise = (file: string) => (isInstalled ? undefined : fileBeside(path, file));
  const places = new Map(files.map((file) => [file, existsSync(file) ? file : otherwise(file)]));
  const present = materialsOf(policy).filter((it) => !("path" in it) || places.get(it.path) !== undefined);
  const problems = await Promise.all(
    present.map(async (it) => await materialFindings(it.kind, () => fileOf(it, places))),
  );
  return [
    // A policy with a relative path is a draft: a node names its policy by an absolute path.
    ...[path, ...files].filter((it) => isAbsolute(it)).flatMap(writersFinding),
    ...files.flatMap((file) => placeFinding(file, places.get(file))),
    ...files.flatMap(relativeFinding),
    ...problems.flat(),
    ...lintRules(policy),
  ];
}

/** Files that a policy names, each once. */
export function filesOf(policy: LoadedPolicy["policy"]): readonly string[] {
  return [...new Set(pathsOf(materialsOf(policy)))];
}

export function pathsOf(materials: readonly Material[]): readonly string[] {
  return materials.flatMap((it) => ("path" in it ? it.path : []));
}

/** The keys and certificates of a policy. A file is listed once for each use. */
export function materialsOf({ rules }: LoadedPolicy["policy"]): readonly Material[] {
  const all = rules.flatMap(({ materials }) => materials);
  const nameOf = (it: Material) => `${it.kind} ${"path" in it ? it.path : it.file.name}`;
  return [...new Map(all.map((it) => [nameOf(it), it])).values()];
}

function fileOf(material: Material, places: ReadonlyMap<string, string | undefined>): TrustFile {
  return "path" in material ? readTrustFile(places.get(material.path) ?? material.path) : material.file;
}

/** The file beside a policy that an installation puts where the policy names it; undefined if there is none. */
export function fileBeside(policy: string, file: string): string | undefined {
  const beside = join(dirname(policy), basename(file));
  return dirname(file) === SETTINGS_FOLDER && existsSync(beside) ? beside : undefined;
}

/**
 * Reads the files of a policy that may not be installed yet.
 * @param onBeside called for each file that is read from beside the policy instead
 */
export function readerBeside(policy: string, onBeside: (file: string, beside: string) => void): FileReader {
  return (file) => {
    const beside = existsSync(file) ? undefined : fileBeside(policy, file);
    if (beside !== undefined) onBeside(file, beside);
    return readNamed(beside ?? file);
  };
}

/** Reads a file that a policy names. @throws DecoderError BAD_KEY, which says how an installation would get it */
export function readNamed(file: string): TrustFile {
  try {
    return readTrustFile(file);
  } catch (error) {
    if (!(error instanceof DecoderError) || errnoOf(error.cause) !== "ENOENT") throw error;
    const { code, message, cause } = error;
    throw new DecoderError(code, message, { cause, hint: `the image is refused${remedy(file)}` });
  }
}

/** What is likely wrong with a policy by itself, without its files. */
export function lintRules(policy: LoadedPolicy["policy"]): readonly PolicyFinding[] {
  const scopes = policy.rules.map(({ scope }) => scope);
  return [...transportFindings(scopes), ...scopes.flatMap(scopeFinding), ...nameFindings(policy)];
}

/** What is wrong with keys or certificates, as they are used. */
export async function materialFindings(
  kind: MaterialKind,
  read: () => TrustFile,
): Promise<readonly PolicyFinding[]> {
  try {
    const file = read();
    if (kind === "keys") return severalKeys(file);
    if (kind === "certificates") return certificateFindings(readCertificateFile(file), file.name, Date.now());
    await (await import("./check/gpg.ts")).readKeyring(file);
    return [];
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    const hint = "images of that scope are refused";
    return [{ severity: "error", message: error.message, hint }];
  }
}

/** @throws DecoderError BAD_KEY */
function severalKeys({ name, bytes }: TrustFile): PolicyFinding[] {
  const { length } = keysOf({ name, bytes });
  if (length === 1) return [];
  const message = `${name} has ${length} public keys, of which only the first counts`;
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
    const { message, hint = "repair it" } = error;
    return [{ severity: "warning", message, hint: `${hint}: the verifier and the gate refuse such files` }];
  }
}

function placeFinding(file: string, place: string | undefined): PolicyFinding[] {
  if (place === file) return [];
  if (place === undefined) {
    const hint = `images of that scope are refused${remedy(file)}`;
    return [{ severity: "error", message: `${file} does not exist`, hint }];
  }
  const message = `${file} does not exist yet, and ${place} was checked instead`;
  return [{ severity: "note", message, hint: "`ctd-decoder install --trust` copies it" }];
}

/** @see refuseForeignFiles of node-check.ts */
function relativeFinding(file: string): PolicyFinding[] {
  if (isAbsolute(file)) return [];
  const message = `the policy names ${file} by a relative path, which leads elsewhere in each working folder`;
  return [{ severity: "error", message, hint: "write the path that it has on the node" }];
}

/** What to do about a missing file that an installation would copy; empty for others. */
function remedy(file: string): string {
  if (dirname(file) !== SETTINGS_FOLDER) return "";
  return `; put ${basename(file)} beside the policy, and \`ctd-decoder install --trust\` copies it`;
}

/** The transports of containers-transports(5), and those of containers/image that the page leaves out. */
const TRANSPORTS: ReadonlySet<string> = new Set([
  ...["atomic", "containers-storage", "dir", "docker", "docker-archive", "docker-daemon"],
  ...["oci", "oci-archive", "ostree", "sif", "tarball"],
]);

/** containers/image does not check the names of transports. */
function transportFindings(scopes: readonly string[]): PolicyFinding[] {
  const named = scopes.flatMap((scope) => {
    const { one, every } = TRANSPORT_SCOPE.exec(scope)?.groups ?? {};
    return one ?? every ?? [];
  });
  return [...new Set(named)]
    .filter((it) => !TRANSPORTS.has(it))
    .map((it) => ({
      severity: "warning",
      message: `no transport is named "${it}", so that its scopes never match`,
      hint: 'images of registries are below "docker"',
    }));
}

const TRANSPORT_SCOPE = /^(?:(?<one>.+?) scope "|every other (?<every>.+) image$)/;

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
  const host = text.split("/")[0] ?? "";
  const isHost = /[.:]/.test(host) || host === "localhost";
  const name = isHost ? parseImageName(`${text.includes("/") ? text : `${text}/x`}`) : undefined;
  if (!isHost) return warn("it never matches", `write the registry's name, as in docker.io/library/${text}`);
  if (name === undefined) return warn("it never matches", "it is not the beginning of an image's name");
  const full = formatImageName(name);
  if (full === text || !text.includes("/")) return [];
  // Docker Hub's own images are in library/, and the scope may be a namespace.
  const message = `${scope}: it does not match ${full}`;
  return [{ severity: "warning", message, hint: `write ${full}, unless ${text} is a namespace` }];
}

function nameFindings(policy: LoadedPolicy["policy"]): PolicyFinding[] {
  const decide = (text: string) => {
    const name = parseImageName(text);
    if (name === undefined) throw new Error("bug: a constant name is malformed");
    try {
      return decidedWithoutSignatures(policy.requirementFor({ transport: "docker", name }).requirement);
    } catch (error) {
      if (error instanceof DecoderError) return undefined;
      throw error;
    }
  };
  const findings: PolicyFinding[] = [];
  if (decide(UNKNOWN) === true) {
    findings.push({
      severity: "warning",
      message: "images of registries that the policy does not name are accepted without a signature",
      hint: 'make the default [{"type": "reject"}] and name the registries that are trusted',
    });
  }
  if (decide(BOOTSTRAP) === false) {
    findings.push({
      severity: "warning",
      message: "registry.k8s.io is rejected: a node can't pull the pause image, and starts no pod",
      hint: "give registry.k8s.io a scope of its own, or load its images beforehand",
    });
  }
  return findings;
}
