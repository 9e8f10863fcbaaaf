import type { ImageName } from "./policy/image-name.ts";

/** Signatures as they are found, before anything about them is known to hold. */
export type FoundSignature =
  | SimpleSignature
  | FoundEnvelope
  | FoundBundle
  | GpgSignature
  | UnreadableSignature;

interface Found {
  /** Place, for people: `sha256-<hex>.sig layer 0`, `referrer sha256:<hex>`, a file. */
  readonly where: string;
}

/** What cosign 2 writes next to a signature, as the texts of the layer's annotations. */
export interface OldMaterial {
  /** `dev.sigstore.cosign/certificate`: PEM. */
  readonly certificate?: string;
  /** `dev.sigstore.cosign/chain`: PEM. */
  readonly chain?: string;
  /** `dev.sigstore.cosign/bundle`: Rekor's signed entry timestamp, JSON. */
  readonly rekorBundle?: string;
  /** `dev.sigstore.cosign/rfc3161timestamp`: JSON. */
  readonly timestamp?: string;
}

/** Form A: a payload under the tag `sha256-<hex>.sig`. */
export interface SimpleSignature extends Found, OldMaterial {
  readonly form: "simple";
  readonly payload: Uint8Array;
  /** `dev.cosignproject.cosign/signature`: base64; "" when the layer has none. */
  readonly signature: string;
}

/** Form C of cosign 2: a DSSE envelope (JSON) under the tag `sha256-<hex>.att`. */
interface FoundEnvelope extends Found, OldMaterial {
  readonly form: "envelope";
  readonly envelope: Uint8Array;
}

/** Forms B and C of cosign 3: a Sigstore bundle (JSON). */
interface FoundBundle extends Found {
  readonly form: "bundle";
  readonly bundle: Uint8Array;
}

/** Form D: an OpenPGP signed message out of a lookaside. */
interface GpgSignature extends Found {
  readonly form: "gpg";
  readonly message: Uint8Array;
}

/** Found, but unreadable or of a kind that is not supported: never counts. */
interface UnreadableSignature extends Found {
  readonly form: "unreadable";
  readonly problem: string;
}

/** What a signature must be of. */
export interface SignedImage {
  /** `sha256:<hex>` of the manifest or index. */
  readonly digest: string;
  /** The name that was asked for; undefined for a layout without one: then only identity rules that need no name hold. */
  readonly name: ImageName | undefined;
}

/** Whether one found signature satisfies one leaf. */
export type SignatureVerdict =
  | {
      readonly counts: true;
      /** Who signed: key fingerprint, certificate identity and issuer, OpenPGP fingerprint. */
      readonly signer: string;
      /** When it ceases to count: see Signed. */
      readonly until?: number;
      /** `host/repo:tag` that the signature names, if it names one. */
      readonly signedName?: string;
      /** The verified in-toto statement, of attestations only. */
      readonly statement?: Uint8Array;
    }
  | {
      readonly counts: false;
      /** Clause without a full stop: `it is a signature of sha256:…, not of this image`. */
      readonly reason: string;
      /** `identity`: the signature holds, but it names another image. `signer`: all else. */
      readonly fault: "signer" | "identity";
      /** Who signed, when that much is known. */
      readonly signer?: string;
    };
