import type { SignedBy, TrustFile } from "../../../../src/trust/requirement.ts";

export const trustFile = (name: string, content: string | Uint8Array): TrustFile => ({
  name,
  bytes: Buffer.from(content),
});

export const exact = (text: string) => ({ kind: "exact", text }) as const;

/** What every leaf has unless its policy says otherwise. */
export const LEAF = {
  kind: "signed-by",
  sct: "required",
  timestamps: "accepted",
  annotations: new Map(),
  statement: { kind: "signature" },
  identity: { kind: "none" },
} as const;

/** A leaf that demands nothing but what `change` says. */
export function demand(change: Partial<SignedBy> & Pick<SignedBy, "signer">): SignedBy {
  return {
    ...LEAF,
    label: "the signer",
    log: { need: "ignored", keys: [] },
    acceptsNamelessBundle: false,
    ...change,
  };
}

/** By dev@example.test, of the authorities in this trusted root; logged. */
export function keyless(root: object, change: Partial<SignedBy> = {}): SignedBy {
  return demand({
    signer: {
      kind: "certificate",
      identity: {
        subjects: [{ name: "any", is: exact("dev@example.test") }],
        issuer: exact("https://issuer.example.test"),
      },
      authority: { kind: "trusted-root" },
    },
    trustedRoot: trustFile("root.json", JSON.stringify(root)),
    log: { need: "required", keys: [] },
    ...change,
  });
}
