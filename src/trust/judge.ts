import { DecoderError } from "../errors.ts";
import * as LIMITS from "../system-limits.ts";
import { checkSignature } from "./check/signature.ts";
import type { Findings } from "./find/attachments.ts";
import type { FoundSignature, SignedImage } from "./found.ts";
import { ACCEPTED, type CheckedSignature, type Judgement, REJECTED } from "./judgement.ts";
import type { Requirement, SignedBy } from "./requirement.ts";
import { decidedWithoutSignatures, leavesOf } from "./requirement-tree.ts";

/** A signature requirement, and what it is about. */
interface Case {
  readonly requirement: Requirement;
  readonly image: SignedImage;
  /** Ends the work early: checking what a stranger has attached can take half a minute. */
  readonly signal?: AbortSignal | undefined;
}

/** Whether a signature of this form can satisfy a demand at all. */
function isAskedFor({ form }: FoundSignature, { signer, statement }: SignedBy): boolean {
  if (form === "unreadable") return false;
  if (signer.kind === "gpg" || form === "gpg") return signer.kind === "gpg" && form === "gpg";
  if (form === "bundle") return true;
  return form === (statement.kind === "attestation" ? "envelope" : "simple");
}

/**
 * Evaluates a requirement over what was found. Every demand is evaluated, so that a person sees why none counts.
 * @throws DecoderError the first failure of a place that could not be asked, when nothing found is enough; BAD_KEY; the
 * signal's reason
 */
export async function judge(
  { requirement, image, signal }: Case,
  { found, failures }: Findings,
): Promise<Judgement> {
  const bench = new Bench(found, image, signal);
  const accepted = await bench.satisfies(requirement);
  const ignored = bench.ignored(requirement);
  const { signatures } = bench;
  if (accepted) {
    const counting = signatures.flatMap(({ verdict }) => (verdict.counts ? [verdict] : []));
    const signer = counting[0]?.signer;
    const ends = counting.flatMap(({ until }) => until ?? []);
    const reason = signer === undefined ? ACCEPTED.reason : `signed by ${signer}`;
    return {
      accepted,
      reason,
      signatures,
      ignored,
      ...(signer !== undefined && { signer }),
      ...(ends.length > 0 && { until: Math.min(...ends) }),
    };
  }
  const [failure] = failures;
  const decided = decidedWithoutSignatures(requirement);
  if (failure !== undefined && decided === undefined) throw failure;
  const why = decided === false ? REJECTED : bench.refusal(requirement);
  return { accepted, ...why, signatures, ignored };
}

/** Each found signature is checked against each demand once. */
class Bench {
  readonly #checked = new Map<SignedBy, CheckedSignature[]>();
  #checks = 0;
  readonly #found: readonly FoundSignature[];
  readonly #image: SignedImage;
  readonly #signal: AbortSignal | undefined;

  constructor(found: readonly FoundSignature[], image: SignedImage, signal: AbortSignal | undefined) {
    this.#found = found;
    this.#image = image;
    this.#signal = signal;
  }

  get signatures(): readonly CheckedSignature[] {
    return [...this.#checked.values()].flat();
  }

  async satisfies(requirement: Requirement): Promise<boolean> {
    if (requirement.kind === "accept") return true;
    if (requirement.kind === "reject") return false;
    if (requirement.kind === "signed-by") return await this.#isSigned(requirement);
    const results: boolean[] = [];
    for (const it of requirement.of) results.push(await this.satisfies(it));
    if (results.length === 0) return false;
    return requirement.kind === "all-of" ? results.every((it) => it) : results.some((it) => it);
  }

  async #isSigned(demand: SignedBy): Promise<boolean> {
    const checked: CheckedSignature[] = [];
    this.#checked.set(demand, checked);
    for (const signature of this.#found) {
      if (!isAskedFor(signature, demand)) continue;
      this.#checks += 1;
      if (this.#checks > LIMITS.signatureChecks) throw tooMany();
      if (this.#checks > 1) await this.#breathe();
      const verdict = await checkSignature(signature, demand, this.#image);
      checked.push({ demand: demand.label, where: signature.where, verdict });
    }
    return isSatisfied(checked);
  }

  /** Lets a deadline's timer run, which waits as long as there is work that only computes. @throws the signal's reason */
  async #breathe(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#signal?.throwIfAborted();
  }

  ignored(requirement: Requirement): Judgement["ignored"] {
    const demands = [...leavesOf(requirement)];
    return this.#found
      .filter((signature) => !demands.some((demand) => isAskedFor(signature, demand)))
      .map((it) => ({
        where: it.where,
        reason: it.form === "unreadable" ? it.problem : `a ${it.form} signature is not what is asked for`,
      }));
  }

  /** Why the first demand that nothing satisfies is not satisfied. */
  refusal(requirement: Requirement): Pick<Judgement, "fault" | "reason"> {
    const demand = [...leavesOf(requirement)].find((it) => !isSatisfied(this.#checked.get(it) ?? []));
    if (demand === undefined) return REJECTED;
    const faults = (this.#checked.get(demand) ?? []).flatMap(({ where, verdict }) =>
      verdict.counts ? [] : [{ where, ...verdict }],
    );
    const unreadable = this.#found.find(({ form }) => form === "unreadable");
    // An identity that does not match is nearer to what was asked for than another signer.
    const nearest = faults.find(({ fault }) => fault === "identity") ?? faults[0];
    if (nearest === undefined) return unsigned(demand, unreadable);
    const others = faults.length === 1 ? "" : ` (and ${faults.length - 1} more that do not count either)`;
    return {
      fault: nearest.fault === "identity" ? "wrong-identity" : "wrong-signer",
      reason: `no ${nounOf(demand)} satisfies ${demand.label}: ${nearest.where}: ${nearest.reason}${others}`,
    };
  }
}

function isSatisfied(checked: readonly CheckedSignature[]): boolean {
  return checked.some(({ verdict }) => verdict.counts);
}

function tooMany(): DecoderError {
  return new DecoderError(
    "LIMIT",
    `checking the image's signatures takes more than ${LIMITS.signatureChecks} checks`,
  );
}

function unsigned(demand: SignedBy, other: FoundSignature | undefined): Pick<Judgement, "fault" | "reason"> {
  const seen = other?.form === "unreadable" ? `; ${other.where}: ${other.problem}` : "";
  return { fault: "unsigned", reason: `no ${nounOf(demand)} found for ${demand.label}${seen}` };
}

function nounOf({ statement }: SignedBy): string {
  if (statement.kind === "signature") return "signature";
  return statement.predicateType === undefined
    ? "attestation"
    : `attestation of type ${statement.predicateType}`;
}
