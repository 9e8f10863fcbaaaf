import { decodeBase64 } from "../../encoding/base64.ts";
import type { JsonObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";
import type { FoundSignature, SignatureVerdict, SignedImage, SimpleSignature } from "../found.ts";
import { identityProblem } from "../policy/identity.ts";
import type { SignedBy } from "../requirement.ts";
import { bundleEvidence, envelopeEvidence, plainEvidence } from "./evidence.ts";
import { bytesMessage, untrusted } from "./message.ts";
import { ATOMIC_TYPE, COSIGN_TYPE, checkOptional, type Payload, readPayload } from "./payload.ts";
import { checkSigner, type Signed } from "./signer.ts";
import { checkPredicate, type Envelope, readEnvelope, readStatement, type Statement } from "./statement.ts";

/** A signature that is by whom it must be, of this image. What remains is what it says besides. */
interface Holding extends Signed {
  /** The image's name inside of what is signed. */
  readonly signedName: string | undefined;
  readonly annotations: JsonObject;
  /** The verified statement of an attestation. */
  readonly statement?: Uint8Array;
}

/**
 * Compares one signature with one leaf of a policy. Nothing of the signature is believed before it has been verified.
 * @throws DecoderError BAD_KEY or CONFIG for files of the policy, never for a signature, however malformed
 */
export async function checkSignature(
  found: FoundSignature,
  leaf: SignedBy,
  image: SignedImage,
): Promise<SignatureVerdict> {
  try {
    const holding = await hold(found, leaf, image);
    checkAnnotations(holding.annotations, leaf.annotations);
    const { signer, until, signedName, statement } = holding;
    const problem = nameProblem(signedName, leaf, image);
    if (problem !== undefined) return { counts: false, reason: problem, fault: "identity", signer };
    return {
      counts: true,
      signer,
      ...(until !== undefined && { until }),
      ...(signedName !== undefined && { signedName }),
      ...(statement !== undefined && { statement }),
    };
  } catch (error) {
    if (!(error instanceof DecoderError) || error.code !== "UNTRUSTED") throw error;
    return { counts: false, reason: error.message, fault: "signer" };
  }
}

/** @throws DecoderError UNTRUSTED */
async function hold(found: FoundSignature, leaf: SignedBy, image: SignedImage): Promise<Holding> {
  switch (found.form) {
    case "simple":
      return await holdSimple(found, leaf, image);
    case "envelope": {
      const envelope = readEnvelope(found.envelope);
      const signed = await checkSigner(envelopeEvidence(envelope, found.envelope, found), leaf);
      return holdStatement(envelope, signed, { leaf, image });
    }
    case "bundle":
      return await holdBundle(found.bundle, leaf, image);
    case "gpg":
      return await holdGpg(found.message, leaf, image);
    case "unreadable":
      throw untrusted(found.problem);
  }
}

async function holdSimple(found: SimpleSignature, leaf: SignedBy, image: SignedImage): Promise<Holding> {
  if (leaf.statement.kind !== "signature") throw untrusted("it is a signature, not an attestation");
  if (found.signature === "") throw untrusted("it has no signature");
  const signature = decodeBase64(found.signature);
  if (signature === null) throw untrusted("its signature is not base64");
  const signed = await checkSigner(plainEvidence(bytesMessage(found.payload), signature, found), leaf);
  const payload = readPayload(found.payload, COSIGN_TYPE);
  // A policy of containers/image always compares names, and no other kind of check does so.
  if (leaf.identity.kind !== "none") checkOptional(payload, COSIGN_TYPE);
  return holdPayload(payload, signed, image);
}

async function holdGpg(
  message: Uint8Array,
  { signer, statement }: SignedBy,
  image: SignedImage,
): Promise<Holding> {
  if (signer.kind !== "gpg") throw untrusted("it is an OpenPGP signature, which is not what is demanded");
  if (statement.kind !== "signature") throw untrusted("it is a signature, not an attestation");
  const { verifyGpgMessage } = await import("./gpg.ts");
  const { content, fingerprint, until } = await verifyGpgMessage(message, signer.keyrings);
  const signed = { signer: `OpenPGP key ${fingerprint}`, ...(until !== undefined && { until }) };
  const payload = readPayload(content, ATOMIC_TYPE);
  checkOptional(payload, ATOMIC_TYPE);
  return holdPayload(payload, signed, image);
}

function holdPayload({ digest, reference, optional }: Payload, signed: Signed, image: SignedImage): Holding {
  if (digest !== image.digest)
    throw untrusted(`it is a signature of ${digest}, not of this image: the digest does not match`);
  return { ...signed, signedName: reference, annotations: optional ?? {} };
}

async function holdBundle(json: Uint8Array, leaf: SignedBy, image: SignedImage): Promise<Holding> {
  const { readBundle } = await import("./bundle.ts");
  const bundle = readBundle(json);
  if (bundle.content.kind !== "envelope") throw untrusted("its bundle is a file's signature, not an image's");
  const envelope = { ...bundle.content, signature: bundle.signature };
  const signed = await checkSigner(bundleEvidence(bundle), leaf);
  return holdStatement(envelope, signed, { leaf, image });
}

function holdStatement(
  envelope: Envelope,
  signed: Signed,
  { leaf, image }: { readonly leaf: SignedBy; readonly image: SignedImage },
): Holding {
  const statement: Statement = readStatement(envelope, image.digest.replace("sha256:", ""));
  checkPredicate(statement, leaf.statement);
  return {
    ...signed,
    signedName: statement.subjectName,
    annotations: statement.annotations,
    ...(leaf.statement.kind === "attestation" && { statement: envelope.payload }),
  };
}

/** @throws DecoderError UNTRUSTED when the signature lacks one of the annotations */
function checkAnnotations(signed: JsonObject, demanded: ReadonlyMap<string, string>): void {
  for (const [name, value] of demanded) {
    const actual = Object.hasOwn(signed, name) ? signed[name] : undefined;
    if (actual === value) continue;
    const what = actual === undefined ? "is missing" : `is ${JSON.stringify(actual)}`;
    throw untrusted(`its annotation ${name} ${what}, and ${JSON.stringify(value)} is demanded`);
  }
}

/** Rules that a bundle without a name may satisfy. They compare at most the repository. */
const NAMELESS: ReadonlySet<string> = new Set(["matchRepository", "matchRepoDigestOrExact"]);

function nameProblem(
  signedName: string | undefined,
  { identity, acceptsNamelessBundle }: SignedBy,
  image: SignedImage,
): string | undefined {
  if (identity.kind === "none") return undefined;
  if (signedName !== undefined) return identityProblem(identity, signedName, image.name);
  if (acceptsNamelessBundle && NAMELESS.has(identity.kind)) return undefined;
  return `its bundle names no image, and the policy demands an identity by ${identity.kind}; bundle_identity = "scope" in trust.toml accepts such bundles for matchRepository and the default`;
}
