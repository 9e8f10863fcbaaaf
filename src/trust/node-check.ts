import { isAbsolute } from "node:path";
import { DecoderError } from "../errors.ts";
import type { RegistryName } from "../registry/name.ts";
import { exceptionFor, exceptionReason } from "./break-glass.ts";
import { withDeadline } from "./deadline.ts";
import { ACCEPTED, type Judgement, REJECTED } from "./judgement.ts";
import { verdictBasis } from "./node-basis.ts";
import { badFile, checkWriters } from "./owned-files.ts";
import { formatImageName, pulledName } from "./policy/image-name.ts";
import { loadPolicy } from "./policy/read-policy.ts";
import type { Requirement } from "./requirement.ts";
import { decidedWithoutSignatures, filesOfLeaf, leavesOf } from "./requirement-tree.ts";
import type { TrustSettings } from "./settings.ts";
import { type VerdictBasis, Verdicts } from "./verdicts.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** An image as a node is about to pull or open it. */
export interface NodeImage {
  readonly name: RegistryName;
  /** `sha256:<hex>` of the manifest or index: the name's tag is never resolved again. */
  readonly digest: string;
}

/** What a node's policy says about an image. */
export interface NodeVerdict extends Pick<Judgement, "accepted" | "reason" | "fault"> {
  readonly scope: string;
  readonly signer?: string;
  /** Accepted for another reason than by the policy now. */
  readonly exception?: "break-glass" | "earlier verdict";
}

/** Share of the deadline that the registry may take: the rest is for an earlier verdict. */
export const REGISTRY_SHARE = 0.9;

/** Failures after which an earlier verdict counts: the registry can't be asked, which says nothing about the image. */
const UNREACHABLE: ReadonlySet<string> = new Set(["REGISTRY", "UNAUTHORIZED"]);

/**
 * Checks an image by a node's settings, and remembers an acceptance.
 * @param remembers false for a check that must change nothing on the node
 * @throws DecoderError CONFIG, BAD_KEY, LIMIT; REGISTRY and UNAUTHORIZED where no earlier verdict helps
 */
export async function checkOnNode(
  { name, digest }: NodeImage,
  settings: TrustSettings,
  environment: Environment,
  remembers = true,
): Promise<NodeVerdict> {
  const place = { transport: "docker", name: pulledName(name) } as const;
  const exception = exceptionFor(place, settings.breakGlass, Date.now());
  if (exception !== undefined) {
    const reason = exceptionReason(exception);
    return { accepted: true, reason, scope: exception.scope, exception: "break-glass" };
  }
  const { policy, bytes } = await loadPolicy(settings.policy, settings);
  const { scope, requirement } = policy.requirementFor(place);
  // Such an image needs no network, and no code for it.
  const decided = decidedWithoutSignatures(requirement);
  refuseForeignFiles(requirement);
  if (decided !== undefined) return { accepted: decided, ...(decided ? ACCEPTED : REJECTED), scope };
  const basis = verdictBasis(bytes, requirement, settings);
  const verdicts = new Verdicts(settings.verdictDir, settings.verdictLifeMs);
  const fullName = formatImageName(place.name);
  try {
    const judgement = await withDeadline(settings.deadlineMs * REGISTRY_SHARE, async (signal) => {
      const { nodePlaces } = await import("./node/node-places.ts");
      const { verifyImage } = await import("./verify-image.ts");
      const places = await nodePlaces(name, settings, environment, signal);
      try {
        return await verifyImage(requirement, { digest, name: place.name }, places);
      } finally {
        await places.close();
      }
    });
    const { accepted, reason, signer, until, fault } = judgement;
    if (signer !== undefined && remembers)
      remember(verdicts, { name: fullName, digest, signer, scope, until }, basis);
    return { accepted, reason, scope, ...(signer !== undefined && { signer }), ...(fault && { fault }) };
  } catch (error) {
    const isUnreachable = error instanceof DecoderError && UNREACHABLE.has(error.code);
    const known = isUnreachable && settings.staleIfError ? verdicts.read(fullName, digest, basis) : undefined;
    if (known === undefined) throw error;
    const reason = `signed by ${known.signer}, as checked at ${known.at}; the registry does not answer now`;
    return { accepted: true, reason, scope, signer: known.signer, exception: "earlier verdict" };
  }
}

/**
 * Refuses key files that users other than root can replace: like the policy, a key decides which images run. A relative path
 * names another file in each working folder.
 * @throws DecoderError CONFIG
 */
function refuseForeignFiles(requirement: Requirement): void {
  const paths = [...leavesOf(requirement)].flatMap(filesOfLeaf).flatMap(({ path }) => path ?? []);
  for (const path of new Set(paths)) {
    if (!isAbsolute(path)) throw badFile(path, "the policy names it by a relative path");
    checkWriters(path);
  }
}

/** A verdict that can't be written costs another check, later. It does not change this one. */
function remember(verdicts: Verdicts, verdict: Parameters<Verdicts["write"]>[0], basis: VerdictBasis): void {
  try {
    verdicts.write(verdict, basis);
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
  }
}
