import { goField, parseJsonObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError, type ErrorCode } from "../errors.ts";
import { appendLine } from "../io/append.ts";
import { Output } from "../io/output.ts";
import { parseName } from "../registry/name.ts";
import { parseDigest } from "../spec/digest.ts";
import * as LIMITS from "../system-limits.ts";
import { printable, printableJson } from "../text.ts";
import { withDeadline } from "./deadline.ts";
import { checkOnNode, type NodeImage, type NodeVerdict, REGISTRY_SHARE } from "./node-check.ts";
import { readTrustSettings, SETTINGS_FILE, type TrustSettings } from "./settings.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A call of containerd's image verifier plugin "bindir" (its docs/image-verification.md). */
interface VerifierCall {
  readonly args: readonly string[];
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly environment: Environment;
}

/** The reason's code for an operator, who greps for it. */
type Fault = "unsigned" | "wrong-signer" | "wrong-identity" | "policy" | "registry" | "deadline" | "config";

const DESCRIPTOR_TYPE = "application/vnd.oci.descriptor.v1+json";
const STDOUT = 1;

/**
 * Answers the call: one line on standard output, which containerd shows to the user who pulls.
 * @returns the refusal, or undefined when the image is accepted; nothing is thrown that would be no refusal
 */
export async function answerVerifierCall(
  call: VerifierCall,
  path = SETTINGS_FILE,
): Promise<DecoderError | undefined> {
  const { line, refusal } = await decideVerifierCall(call, path);
  new Output(STDOUT, "standard output").write(Buffer.from(`${printable(line, LIMITS.verifierLineChars)}\n`));
  return refusal;
}

interface Answer {
  /** `trust: unsigned: no signature found for …` */
  readonly line: string;
  readonly refusal?: DecoderError;
}

/** The answer to a call, which is always one. */
export async function decideVerifierCall(
  { args, stdin, environment }: VerifierCall,
  path: string,
): Promise<Answer> {
  const start = performance.now();
  let settings: TrustSettings | undefined;
  let image: NodeImage | undefined;
  try {
    settings = readTrustSettings(path);
    const known = settings;
    const verdict = await withDeadline(known.deadlineMs, async () => {
      image = await readCall(args, stdin);
      return await checkOnNode(image, known, environment);
    });
    writeAudit(known, image, verdict);
    return answer(verdict);
  } catch (error) {
    const late = settings !== undefined && performance.now() - start >= settings.deadlineMs * REGISTRY_SHARE;
    const fault = late ? "deadline" : faultOf(error);
    const refusal = refused(fault, messageOf(error), error);
    if (settings !== undefined)
      writeAudit(settings, image, { accepted: false, reason: refusal.message, scope: "" });
    return { line: refusal.message, refusal };
  }
}

function answer({ accepted, reason, fault, scope }: NodeVerdict): Answer {
  if (accepted) return { line: `trust: accepted: ${reason}` };
  const refusal = refused(fault ?? "policy", `${reason} (${scope})`);
  return { line: refusal.message, refusal };
}

function refused(fault: Fault, message: string, cause?: unknown): DecoderError {
  return new DecoderError("UNTRUSTED", `trust: ${fault}: ${message}`, { cause });
}

const FAULTS: Partial<Readonly<Record<ErrorCode, Fault>>> = {
  REGISTRY: "registry",
  UNAUTHORIZED: "registry",
  NOT_FOUND: "registry",
};

function faultOf(error: unknown): Fault {
  return (error instanceof DecoderError && FAULTS[error.code]) || "config";
}

/** A defect's own message might quote a secret. */
function messageOf(error: unknown): string {
  if (error instanceof DecoderError) return error.message;
  return `internal error (${error instanceof Error ? error.name : typeof error})`;
}

/**
 * `-name REF -digest DIGEST -stdin-media-type TYPE`, and the descriptor on standard input. Flags that a later containerd
 * adds are passed over, with their values.
 * @throws DecoderError CONFIG
 */
async function readCall(args: readonly string[], stdin: AsyncIterable<Uint8Array>): Promise<NodeImage> {
  const flags = readFlags(args);
  const [name, digest, type] = ["name", "digest", "stdin-media-type"].map((it) => flags.get(it));
  if (name === undefined || digest === undefined) throw malformed("it has no -name or no -digest");
  if (parseDigest(digest)?.algorithm !== "sha256") throw malformed("its digest is not a SHA-256 digest");
  if (type !== DESCRIPTOR_TYPE) throw malformed(`its media type is ${JSON.stringify(type)}`);
  const descriptor = parseJsonObject(await readAll(stdin));
  if (goField(descriptor, "digest") !== digest) throw malformed("its descriptor has another digest");
  const parsed = nameOf(name);
  if (parsed.digest !== undefined && parsed.digest !== digest) throw malformed("its name has another digest");
  return { name: parsed, digest };
}

function readFlags(args: readonly string[]): ReadonlyMap<string, string> {
  const flags = new Map<string, string>();
  for (let i = 0; i < args.length; i++) {
    const [, name, inline] = /^--?([a-z][a-z0-9-]*)(?:=([\s\S]*))?$/.exec(args[i] ?? "") ?? [];
    if (name === undefined) throw malformed(`unexpected argument ${JSON.stringify(args[i])}`);
    if (flags.has(name)) throw malformed(`-${name} is given twice`);
    flags.set(name, inline ?? args[++i] ?? "");
  }
  return flags;
}

function nameOf(text: string) {
  try {
    return parseName(text);
  } catch (error) {
    if (error instanceof DecoderError) throw malformed(error.message);
    throw error;
  }
}

async function readAll(stdin: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    size += chunk.length;
    if (size > LIMITS.verifierInputBytes) throw malformed("its standard input is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function malformed(why: string): DecoderError {
  return new DecoderError("CONFIG", `the verifier call is malformed: ${why}`);
}

/** Break-glass and refusals are what an auditor looks for. An unwritable log refuses nothing and is said on stderr. */
function writeAudit(settings: TrustSettings, image: NodeImage | undefined, verdict: NodeVerdict): void {
  if (settings.auditLog === undefined) return;
  const { accepted, reason, scope, signer, exception } = verdict;
  const record = {
    time: new Date().toISOString(),
    image: image && { ...image.name, digest: image.digest },
    verdict: accepted ? "accepted" : "refused",
    reason,
    scope,
    signer,
    exception,
  };
  try {
    appendLine(settings.auditLog, printableJson(record));
  } catch (error) {
    const problem = `can't write to ${settings.auditLog}: ${describeSystemError(error)}`;
    new Output(2, "standard error").write(Buffer.from(`ctd-decoder: warning: ${printable(problem)}\n`));
  }
}
