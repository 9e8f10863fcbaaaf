import type { OldMaterial } from "../found.ts";
import type { SignedBy } from "../requirement.ts";
import type { ReadBundle } from "./bundle.ts";
import { bundleEvidence, envelopeEvidence, plainEvidence } from "./evidence.ts";
import { type Message, untrusted } from "./message.ts";
import { checkSigner } from "./signer.ts";
import { checkPredicate, type Envelope, readEnvelope, readStatement } from "./statement.ts";

/** The signature of a file, stored beside the file. */
export type FileSignature =
  | { readonly form: "plain"; readonly signature: Uint8Array; readonly material: OldMaterial }
  /** A DSSE envelope (JSON). */
  | { readonly form: "envelope"; readonly envelope: Uint8Array; readonly material: OldMaterial }
  /** A Sigstore bundle (JSON). */
  | { readonly form: "bundle"; readonly bundle: Uint8Array };

export interface SignedFile {
  /** `sha256:<hex>` */
  readonly digest: string;
  readonly signer: string;
  /** The verified in-toto statement, of attestations only. */
  readonly statement?: Uint8Array;
}

/**
 * Checks the signature of a file, or an attestation about it, as the leaf's statement demands.
 * @throws DecoderError UNTRUSTED, BAD_KEY, CONFIG, IO
 */
export async function checkFileSignature(
  found: FileSignature,
  leaf: SignedBy,
  file: Message,
): Promise<SignedFile> {
  const hex = Buffer.from(await file.digest("sha256")).toString("hex");
  const digest = `sha256:${hex}`;
  if (found.form === "plain") {
    if (leaf.statement.kind !== "signature") throw untrusted("it is a signature, not an attestation");
    const { signer } = await checkSigner(plainEvidence(file, found.signature, found.material), leaf);
    return { digest, signer };
  }
  if (found.form === "envelope") {
    const envelope = readEnvelope(found.envelope);
    const { signer } = await checkSigner(envelopeEvidence(envelope, found.envelope, found.material), leaf);
    return { digest, signer, ...attested(envelope, leaf, hex) };
  }
  const { readBundle } = await import("./bundle.ts");
  const bundle = readBundle(found.bundle);
  await checkDigest(bundle, file, leaf);
  const { signer } = await checkSigner(bundleEvidence(bundle, file), leaf);
  const { content, signature } = bundle;
  return content.kind === "message"
    ? { digest, signer }
    : { digest, signer, ...attested({ ...content, signature }, leaf, hex) };
}

/** @throws DecoderError UNTRUSTED when a bundle's signature is of another file */
async function checkDigest({ content }: ReadBundle, file: Message, { statement }: SignedBy): Promise<void> {
  if (content.kind !== "message") return;
  if (statement.kind !== "signature") throw untrusted("it is a signature, not an attestation");
  if (Buffer.compare(content.digest, await file.digest(content.hash)) !== 0)
    throw untrusted("its bundle is the signature of another file: the digest does not match");
}

function attested(envelope: Envelope, { statement }: SignedBy, hex: string): Pick<SignedFile, "statement"> {
  const read = readStatement(envelope, hex);
  checkPredicate(read, statement);
  return statement.kind === "attestation" ? { statement: envelope.payload } : {};
}
