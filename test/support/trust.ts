import { createHash, createSign, generateKeyPairSync, type KeyObject } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VERDICT_FOLDER } from "../../src/trust/verdicts.ts";

/** A signer as cosign has one: P-256. */
export interface TestSigner {
  readonly privateKey: KeyObject;
  /** PEM. */
  readonly publicKey: string;
}

export function newSigner(): TestSigner {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { privateKey, publicKey: publicKey.export({ type: "spki", format: "pem" }).toString() };
}

/** A payload of simple signing as skopeo (with a tag) and cosign (without) write it. */
export function simplePayload(digest: string, reference: string): Buffer {
  const critical = {
    identity: { "docker-reference": reference },
    image: { "docker-manifest-digest": digest },
    type: "cosign container image signature",
  };
  return Buffer.from(JSON.stringify({ critical, optional: null }));
}

export function signBytes({ privateKey }: TestSigner, bytes: Uint8Array): string {
  return createSign("sha256").update(bytes).sign(privateKey).toString("base64");
}

/** Puts a signature into a folder of signatures, as `signature_store` takes it. */
export function storeSignature(
  folder: string,
  signer: TestSigner,
  {
    digest,
    reference,
    payloadDigest = digest,
  }: { digest: string; reference: string; payloadDigest?: string },
): string {
  const payload = simplePayload(payloadDigest, reference);
  const annotations = { "dev.cosignproject.cosign/signature": signBytes(signer, payload) };
  const place = join(folder, digest.replace(":", "-"));
  mkdirSync(place, { recursive: true });
  const path = join(place, `${createHash("sha256").update(payload).digest("hex").slice(0, 8)}.sig.json`);
  writeFileSync(path, JSON.stringify({ payload: payload.toString("base64"), annotations }));
  return path;
}

/** Removes what was recorded about an image in the usual folder, which tests share with the machine. */
export function removeVerdicts(digest: string): void {
  const hex = digest.replace("sha256:", "");
  const names = existsSync(VERDICT_FOLDER) ? readdirSync(VERDICT_FOLDER) : [];
  for (const name of names.filter((it) => it.startsWith(hex))) rmSync(join(VERDICT_FOLDER, name));
}

/** Puts an attestation into a folder of signatures: a bundle as cosign 3 writes it, of a statement about the image. */
export function storeAttestation(
  folder: string,
  signer: TestSigner,
  { digest, reference, predicateType }: { digest: string; reference: string; predicateType: string },
): void {
  const subject = [{ name: reference, digest: { sha256: digest.replace("sha256:", "") } }];
  const statement = { _type: "https://in-toto.io/Statement/v1", subject, predicateType, predicate: {} };
  const payload = Buffer.from(JSON.stringify(statement));
  const payloadType = "application/vnd.in-toto+json";
  const signed = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} ${payload}`;
  const bundle = {
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: "" }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString("base64"),
      payloadType,
      signatures: [{ sig: signBytes(signer, Buffer.from(signed)) }],
    },
  };
  const place = join(folder, digest.replace(":", "-"));
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "attestation.sigstore.json"), JSON.stringify(bundle));
}

/** A folder that only root can write to, which /tmp is not. */
export function writeSettings(folder: string, settings: Readonly<Record<string, unknown>>): string {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const path = join(folder, "trust.toml");
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o644 });
  return path;
}
