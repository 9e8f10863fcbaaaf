import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject, type JsonObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import { DecoderError } from "../../errors.ts";
import * as LIMITS from "../../system-limits.ts";
import { checkFileSignature, type FileSignature, type SignedFile } from "../check/file-signature.ts";
import { bytesMessage, fileMessage, type Message } from "../check/message.ts";
import type { OldMaterial } from "../found.ts";
import type { SignedBy } from "../requirement.ts";
import { checkRegular, readWhole } from "./file.ts";

/** The files that hold a signature and what belongs to it, as cosign's flags name them. */
export interface SignatureFiles {
  /** base64, as cosign writes it, or the signature's bytes, as openssl does. */
  readonly signature?: string;
  /** PEM, or base64 of PEM, as Kubernetes publishes it. */
  readonly certificate?: string;
  readonly certificateChain?: string;
  /** cosign's JSON with an RFC 3161 timestamp. */
  readonly timestamp?: string;
  /** A Sigstore bundle, or the bundle of cosign 2. */
  readonly bundle?: string;
}

export interface FileReport extends SignedFile {
  readonly file: string;
}

const LOG_HINT =
  "a certificate is valid for minutes: its bundle, with the entry of the transparency log, shows that it signed in time";

/**
 * Verifies that a file is signed, or attested, as the leaf demands. Opens no connection.
 * @throws DecoderError UNTRUSTED, NOT_FOUND, IO, USAGE, BAD_KEY, CONFIG
 */
export async function verifyFile(path: string, files: SignatureFiles, leaf: SignedBy): Promise<FileReport> {
  checkRegular(path);
  return await verifyMessage({ name: path, message: fileMessage(path) }, files, leaf);
}

/** Like verifyFile, of a file that is in memory. */
export async function verifyBytes(
  { name, bytes }: { readonly name: string; readonly bytes: Uint8Array },
  files: SignatureFiles,
  leaf: SignedBy,
): Promise<FileReport> {
  return await verifyMessage({ name, message: bytesMessage(bytes) }, files, leaf);
}

async function verifyMessage(
  { name, message }: { readonly name: string; readonly message: Message },
  files: SignatureFiles,
  leaf: SignedBy,
): Promise<FileReport> {
  const signature = readFileSignature(files);
  try {
    return { file: name, ...(await checkFileSignature(signature, leaf, message)) };
  } catch (error) {
    if (!(error instanceof DecoderError) || error.code !== "UNTRUSTED") throw error;
    const noun = leaf.statement.kind === "attestation" ? "attestation" : "signature";
    const hint = files.bundle === undefined && leaf.log.need === "required" ? LOG_HINT : undefined;
    throw new DecoderError("UNTRUSTED", `the ${noun} of ${name} does not count: ${error.message}`, {
      ...(hint !== undefined && { hint }),
    });
  }
}

/** @throws DecoderError USAGE, NOT_FOUND, IO, UNTRUSTED */
function readFileSignature(files: SignatureFiles): FileSignature {
  const { bundle, signature, certificate, certificateChain, timestamp } = files;
  if (bundle === undefined && signature === undefined) {
    throw new DecoderError("USAGE", "no signature is named", {
      hint: "name one with --bundle FILE, or with --signature FILE",
    });
  }
  const beside: OldMaterial = {
    ...(certificate !== undefined && { certificate: readPem(certificate) }),
    ...(certificateChain !== undefined && { chain: readPem(certificateChain) }),
    ...(timestamp !== undefined && { timestamp: readText(timestamp) }),
  };
  if (bundle === undefined) return readSignature(signature ?? "", beside);
  const bytes = readWhole(bundle, LIMITS.attestationBytes);
  const value = parse(bytes, bundle);
  if (!Object.hasOwn(value, "base64Signature")) {
    if (signature !== undefined || Object.keys(beside).length > 0)
      throw new DecoderError(
        "USAGE",
        "--bundle has the signature and its certificate: name the bundle alone",
      );
    return { form: "bundle", bundle: bytes };
  }
  return readOldBundle(value, beside, bundle);
}

function readSignature(path: string, material: OldMaterial): FileSignature {
  const bytes = readWhole(path, LIMITS.attestationBytes);
  const text = Buffer.from(bytes).toString("latin1").trim();
  if (text.startsWith("{")) return { form: "envelope", envelope: bytes, material };
  return { form: "plain", signature: decodeBase64(text) ?? bytes, material };
}

/** What `cosign sign-blob --bundle` writes up to version 2: `{"base64Signature","cert","rekorBundle"}`. */
function readOldBundle(value: JsonObject, beside: OldMaterial, name: string): FileSignature {
  const { base64Signature, cert, rekorBundle } = value;
  const bytes = typeof base64Signature === "string" ? decodeBase64(base64Signature) : null;
  if (bytes === null || (cert !== undefined && typeof cert !== "string"))
    throw malformed(name, "its members are not those of a bundle by cosign 2");
  const material: OldMaterial = {
    ...beside,
    // Of a signature with a key, cosign puts the public key here.
    ...(cert !== undefined && cert !== "" && isCertificate(cert) && { certificate: pemOf(cert) }),
    ...(rekorBundle !== undefined && { rekorBundle: JSON.stringify(rekorBundle) }),
  };
  const text = Buffer.from(bytes).toString("latin1").trim();
  if (text.startsWith("{")) return { form: "envelope", envelope: bytes, material };
  return { form: "plain", signature: bytes, material };
}

function isCertificate(text: string): boolean {
  return pemOf(text).includes("-----BEGIN CERTIFICATE-----");
}

function readPem(path: string): string {
  return pemOf(readText(path));
}

function pemOf(text: string): string {
  if (text.includes("-----BEGIN")) return text;
  const inner = decodeBase64(text.trim());
  return inner === null ? text : Buffer.from(inner).toString("latin1");
}

function readText(path: string): string {
  return Buffer.from(readWhole(path, LIMITS.trustFileBytes)).toString("utf8");
}

function parse(bytes: Uint8Array, name: string): JsonObject {
  try {
    const value = parseStrictJson(bytes);
    if (isObject(value)) return value;
  } catch (error) {
    throw malformed(name, error instanceof SyntaxError ? error.message : "it is not JSON");
  }
  throw malformed(name, "it is not a JSON object");
}

function malformed(name: string, problem: string): DecoderError {
  return new DecoderError("UNTRUSTED", `the bundle ${name} is malformed: ${problem}`);
}
