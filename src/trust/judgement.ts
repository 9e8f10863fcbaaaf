import type { SignatureVerdict } from "./found.ts";

/** One found signature against one demand. */
export interface CheckedSignature {
  /** Label of the demand. */
  readonly demand: string;
  readonly where: string;
  readonly verdict: SignatureVerdict;
}

/** What a signature requirement says about an image. */
export interface Judgement {
  readonly accepted: boolean;
  readonly fault?: JudgementFault;
  /** One sentence without a full stop. */
  readonly reason: string;
  /** Who signed, of the first signature that counted. */
  readonly signer?: string;
  /** When the first of the signatures that count ceases to do so, milliseconds since 1970; undefined if none does. */
  readonly until?: number;
  readonly signatures: readonly CheckedSignature[];
  /** Signatures that are unreadable, or of a kind that the requirement does not accept. */
  readonly ignored: readonly { readonly where: string; readonly reason: string }[];
}

type JudgementFault = "unsigned" | "wrong-signer" | "wrong-identity" | "policy";

/** The result for an image that a policy accepts or rejects without a signature. */
export const ACCEPTED = { reason: "the policy accepts it without a signature" } as const;
export const REJECTED = { fault: "policy", reason: "the policy rejects it" } as const;
