import type { RegistryAccess } from "../registry/open.ts";
import { exceptionFor, exceptionReason } from "./break-glass.ts";
import type { RegistriesConfiguration } from "./find/lookaside.ts";
import type { Judgement } from "./judgement.ts";
import type { FileReader } from "./policy/policy.ts";
import type { LoadedPolicy } from "./policy/read-policy.ts";
import type { SignedBy } from "./requirement.ts";
import { openTarget } from "./target.ts";
import { verifyImage } from "./verify-image.ts";

interface CheckPlaces {
  readonly access: RegistryAccess;
  /** Folders of signatures. */
  readonly folders: readonly string[];
  readonly registries: RegistriesConfiguration;
  readonly signal: AbortSignal;
  /** File of exceptions, which accept an image whatever its signatures are. */
  readonly breakGlass?: string | undefined;
  /** Reads the files that a policy names; undefined: from where it names them. */
  readonly read?: FileReader | undefined;
}

/** What `trust check` reports. */
export interface CheckReport extends Judgement {
  /** As it was asked for. */
  readonly image: string;
  readonly digest: string;
  /** The part of the policy that applied; undefined without a policy. */
  readonly scope?: string;
}

/**
 * Checks an image in a registry or layout against a policy, or against one demand.
 * @throws DecoderError USAGE, CONFIG, BAD_KEY, NOT_FOUND, REGISTRY, BAD_IMAGE, DIGEST_MISMATCH
 */
export async function checkImage(
  image: string,
  wanted: LoadedPolicy | SignedBy,
  { access, folders, registries, signal, breakGlass, read }: CheckPlaces,
): Promise<CheckReport> {
  const target = await openTarget(image, access, signal);
  try {
    const exception =
      breakGlass === undefined ? undefined : exceptionFor(target.place, breakGlass, Date.now());
    if (exception !== undefined) {
      const { digest } = await target.resolve();
      const { scope } = exception;
      const reason = exceptionReason(exception);
      return { image, digest, accepted: true, reason, scope, signatures: [], ignored: [] };
    }
    const decision =
      "policy" in wanted
        ? wanted.policy.requirementFor(target.place, read)
        : { requirement: wanted, scope: undefined };
    const signed = await target.resolve();
    const places = { stores: [target.store], folders, registries, signal };
    const judgement = await verifyImage(decision.requirement, signed, places);
    const { scope } = decision;
    return { image, digest: signed.digest, ...judgement, ...(scope !== undefined && { scope }) };
  } finally {
    await target.close();
  }
}
