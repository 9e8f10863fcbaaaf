/**
 * What a policy demands of an image, whatever format it was written in: a tree whose leaves are signatures. `policy/`
 * builds it, `check/` compares one found signature (found.ts) with one leaf, and verdict.ts evaluates the whole.
 */
export type Requirement =
  | { readonly kind: "accept" }
  | { readonly kind: "reject" }
  | { readonly kind: "all-of"; readonly of: readonly Requirement[] }
  | { readonly kind: "any-of"; readonly of: readonly Requirement[] }
  | SignedBy;

/** One signature that must exist. */
export interface SignedBy {
  readonly kind: "signed-by";
  /** Names the leaf in messages: `key main.pub`, `sigstoreSigned in scope "registry.example.com/shop"`. */
  readonly label: string;
  readonly signer: Signer;
  /** Sigstore trusted root, JSON (`trustedroot+json;version=0.1`): authorities and logs of certificates, logs of keys. */
  readonly trustedRoot?: TrustFile;
  readonly log: LogDemand;
  /** Certificate transparency: `ignored` for containers-policy.json and `--insecure-ignore-sct`. */
  readonly sct: "required" | "ignored";
  /** RFC 3161 timestamps: `accepted` takes one as trusted time of a certificate, `required` refuses without one. */
  readonly timestamps: "accepted" | "required";
  /** Name and value that the signature must carry: `optional` of a payload, `annotations` of a statement's subject. */
  readonly annotations: ReadonlyMap<string, string>;
  readonly statement: StatementDemand;
  readonly identity: SignedIdentity;
  /** Whether a bundle without a subject name satisfies `identity` (`bundle_identity = "scope"`). */
  readonly acceptsNamelessBundle: boolean;
}

/** A file of the policy, whole, or the same bytes written into the policy. */
export interface TrustFile {
  /** Path, or the field of the policy that held the bytes: for messages. */
  readonly name: string;
  /** Path of the file; undefined for bytes of the policy. */
  readonly path?: string;
  /** Of several public keys in it only the first counts, as containers/image, Kubewarden and policy-controller read such files. */
  readonly hasOneKey?: true;
  readonly bytes: Uint8Array;
}

/** Whose signature. Any one key, keyring or certificate of the lists is enough. */
export type Signer =
  /** PEM public keys (SPKI or PKCS#1). */
  | { readonly kind: "keys"; readonly keys: readonly TrustFile[] }
  /** OpenPGP keyrings, armored or binary: only `gpg` signatures count. */
  | { readonly kind: "gpg"; readonly keyrings: readonly TrustFile[] }
  | {
      readonly kind: "certificate";
      readonly identity: CertificateIdentity;
      readonly authority: CertificateAuthority;
    }
  /** Exactly one of these PEM certificates signed. `chain`: PEM intermediates and root that it must chain to. */
  | {
      readonly kind: "pinned-certificate";
      readonly certificates: readonly TrustFile[];
      readonly chain?: TrustFile;
    };

/** Who may issue the certificate. */
export type CertificateAuthority =
  /** The authorities of the leaf's `trustedRoot`. */
  | { readonly kind: "trusted-root" }
  /** containers-policy.json `fulcio`: PEM roots, and the time is the log entry's. */
  | { readonly kind: "fulcio"; readonly roots: TrustFile }
  /** containers-policy.json `pki`: PEM roots and intermediates, and the time is now. */
  | { readonly kind: "pki"; readonly roots: TrustFile; readonly intermediates?: TrustFile };

export interface CertificateIdentity {
  /** All must hold for some subject alternative name of their kind. Empty is refused by the policy readers. */
  readonly subjects: readonly SubjectDemand[];
  /** The OIDC issuer; undefined for `pki`. */
  readonly issuer?: TextDemand;
  /** Exact values of what Fulcio says of a GitHub workflow. */
  readonly workflow?: ReadonlyMap<WorkflowClaim, string>;
}

/** Fulcio's extensions 1.3.6.1.4.1.57264.1.2 to .6, by the names of cosign's `--certificate-github-workflow-…`. */
export type WorkflowClaim = "trigger" | "sha" | "name" | "repository" | "ref";

export interface SubjectDemand {
  /** `any`: email, URI or Fulcio's otherName. */
  readonly name: "any" | "email" | "uri" | "dns";
  readonly is: TextDemand;
}

/** `regexp` matches the whole text, as policy/regexp.ts makes it. */
export type TextDemand =
  | { readonly kind: "exact"; readonly text: string }
  | { readonly kind: "prefix"; readonly text: string }
  | { readonly kind: "regexp"; readonly regexp: Pick<RegExp, "source" | "test"> };

export interface LogDemand {
  readonly need: "required" | "ignored";
  /** PEM keys of Rekor logs, any of which will do; empty: those of `trustedRoot`. */
  readonly keys: readonly TrustFile[];
}

/** An attestation is never a signature of the image, and a signature never an attestation. */
export type StatementDemand =
  | { readonly kind: "signature" }
  /** `predicateType` is a URI; undefined: any but the image signature's. */
  | { readonly kind: "attestation"; readonly predicateType: string | undefined };

/** containers-policy.json(5) `signedIdentity`, plus `none` for bare keys and formats that demand no name. */
export type SignedIdentity =
  | { readonly kind: "none" }
  | { readonly kind: "matchExact" }
  | { readonly kind: "matchRepoDigestOrExact" }
  | { readonly kind: "matchRepository" }
  | { readonly kind: "exactReference"; readonly reference: string }
  | { readonly kind: "exactRepository"; readonly repository: string }
  | { readonly kind: "remapIdentity"; readonly prefix: string; readonly signedPrefix: string };
