import { DecoderError } from "../errors.ts";
import { parseName, type RegistryName } from "../registry/name.ts";
import { withDeadline } from "../trust/deadline.ts";
import { findByTag } from "../trust/find/tag-signatures.ts";
import { nodePlaces } from "../trust/node/node-places.ts";
import { pulledName } from "../trust/policy/image-name.ts";
import type { Policy } from "../trust/policy/policy.ts";
import { decidedWithoutSignatures } from "../trust/requirement-tree.ts";
import type { TrustSettings } from "../trust/settings.ts";
import type { Finding } from "./finding.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const MOST = 8;
const WAIT_MS = 5000;
/** A repository that no registry has. The probe only shows whether the registry answers. */
const REPOSITORY = "ctd-decoder-doctor";
const DIGEST = `sha256:${"0".repeat(64)}`;

/** Tries to reach the registries of images that need signatures, with the node's own hosts and credentials. */
export async function reachRegistries(
  policy: Policy,
  settings: TrustSettings,
  environment: Environment,
): Promise<readonly Finding[]> {
  const names = policy.registries.filter((it) => !it.startsWith("*")).flatMap((it) => signedIn(policy, it));
  const reports = names.slice(0, MOST).map((name) => reach(name, settings, environment));
  return (await Promise.all(reports)).flat();
}

/** A name in a registry, if signatures decide there. */
function signedIn(policy: Policy, registry: string): RegistryName[] {
  try {
    const name = parseName(`${registry}/${REPOSITORY}`);
    const { requirement } = policy.requirementFor({ transport: "docker", name: pulledName(name) });
    const isNarrow = decidedWithoutSignatures(requirement) !== undefined;
    // A scope may be a part of the registry: then signatures decide there, whatever holds for the rest.
    const hasScope = policy.rules.some(
      ({ scope, materials }) => scope.startsWith(`docker scope "${registry}/`) && materials.length > 0,
    );
    return isNarrow && !hasScope ? [] : [name];
  } catch (error) {
    // A malformed registry, or a key file that is reported by itself.
    if (error instanceof DecoderError) return [];
    throw error;
  }
}

async function reach(
  name: RegistryName,
  settings: TrustSettings,
  environment: Environment,
): Promise<readonly Finding[]> {
  try {
    await withDeadline(WAIT_MS, async (signal) => {
      const places = await nodePlaces(name, settings, environment, signal);
      try {
        const [store] = places.stores;
        const found = store && (await findByTag(store, DIGEST, "sig"));
        for (const failure of found?.failures ?? []) throw failure;
      } finally {
        await places.close();
      }
    });
    return [];
  } catch (error) {
    if (!(error instanceof DecoderError)) throw error;
    return error.code === "UNAUTHORIZED" ? [unauthorized(name, error)] : [unreachable(name, error)];
  }
}

/** Some registries also answer so for repositories that they do not have. */
function unauthorized({ registry }: RegistryName, { message }: DecoderError): Finding {
  return {
    severity: "note",
    message: `${registry} may refuse to show signatures to this node: ${message}`,
    hint: "containerd passes no credentials to a verifier: name some by auth_file in trust.toml",
  };
}

function unreachable({ registry }: RegistryName, { message }: DecoderError): Finding {
  return {
    severity: "warning",
    message: `signatures in ${registry} can't be read now: ${message}`,
    hint: "until it answers, only images with an earlier verdict are accepted",
  };
}
