import type { Requirement, SignedBy, Signer, TextDemand, TrustFile } from "../requirement.ts";
import type { Material, MaterialKind } from "./policy.ts";

/** What the formats of Kubernetes' admission controllers have in common: no name is demanded of a signature. */
export function unnamedLeaf(
  label: string,
  signer: Signer,
  options: Partial<Pick<SignedBy, "log" | "sct" | "annotations" | "statement">> & {
    readonly trustedRoot?: TrustFile | undefined;
  },
): SignedBy {
  const { trustedRoot, ...rest } = options;
  return {
    kind: "signed-by",
    label,
    signer,
    log: { need: "ignored", keys: [] },
    sct: "required",
    timestamps: "accepted",
    annotations: new Map(),
    statement: { kind: "signature" },
    identity: { kind: "none" },
    acceptsNamelessBundle: true,
    ...(trustedRoot && { trustedRoot }),
    ...rest,
  };
}

/** A Fulcio certificate of this identity. */
export function keylessSigner(
  subject: TextDemand,
  issuer: TextDemand,
  name: "any" | "uri" = "any",
): Signer & { readonly kind: "certificate" } {
  return {
    kind: "certificate",
    identity: { subjects: [{ name, is: subject }], issuer },
    authority: { kind: "trusted-root" },
  };
}

/** Keys and certificates that a policy contains, rather than names by path. */
export function materialsOf({ signer }: SignedBy): readonly Material[] {
  const all = (kind: MaterialKind, files: readonly TrustFile[]) => files.map((file) => ({ kind, file }));
  if (signer.kind === "keys") return all("keys", signer.keys);
  if (signer.kind === "pinned-certificate")
    return all("certificates", [...signer.certificates, ...(signer.chain ? [signer.chain] : [])]);
  const isNamed = signer.kind === "certificate" && signer.authority.kind === "fulcio";
  return isNamed ? all("certificates", [signer.authority.roots]) : [];
}

export function exactly(text: string): TextDemand {
  return { kind: "exact", text };
}

export function allOf(of: readonly Requirement[]): Requirement {
  return only(of) ?? { kind: "all-of", of };
}

export function anyOf(of: readonly Requirement[]): Requirement {
  return only(of) ?? { kind: "any-of", of };
}

function only(of: readonly Requirement[]): Requirement | undefined {
  return of.length === 1 ? of[0] : undefined;
}
