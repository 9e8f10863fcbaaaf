import type { Requirement, TrustFile } from "../requirement.ts";
import type { ImageName } from "./image-name.ts";

/** A policy of any format: it answers which requirement an image has to meet. */
export interface Policy {
  readonly format: PolicyFormat;
  /**
   * @param read reads the key files of that requirement, and no other; default `readTrustFile`
   * @throws DecoderError CONFIG; what `read` throws
   */
  requirementFor(place: ImagePlace, read?: FileReader): Decision;
  /** Every scope with its requirement in words, for `trust lint`; nothing but the policy is read. */
  readonly rules: readonly PolicyRule[];
  /** Registries that it names, with their ports. */
  readonly registries: readonly string[];
  /** Tags of a repository that may have a rule of their own; `ANY_TAG` of wildcard.ts where patterns name them. */
  tagsOf(repository: string): readonly string[];
}

export type FileReader = (path: string) => TrustFile;

/** A format's name, and the `kind` of its objects. */
export const CLUSTER_IMAGE_POLICY = "ClusterImagePolicy";

type PolicyFormat = "containers-policy.json" | "Kubewarden settings" | typeof CLUSTER_IMAGE_POLICY;

/** Where an image is, as policies address it. */
export type ImagePlace =
  | { readonly transport: "docker"; readonly name: ImageName }
  /** Absolute path of a layout; its tag is not part of a policy's address. */
  | { readonly transport: "oci"; readonly path: string };

export interface Decision {
  /** What applied: `docker scope "registry.example.com/shop"`, `default`, `the entries 0 and 2`. */
  readonly scope: string;
  readonly requirement: Requirement;
}

export interface PolicyRule {
  readonly scope: string;
  /** `sigstoreSigned with keyPath /etc/keys/a.pub, matchRepository` */
  readonly demands: readonly string[];
  readonly materials: readonly Material[];
}

/** Keys or certificates: in a file that a rule names, or in the rule itself. */
export type Material = { readonly kind: MaterialKind } & (
  | { readonly path: string }
  | { readonly file: TrustFile }
);

export type MaterialKind = "keys" | "keyring" | "certificates";
