import { createPublicKey, type KeyObject } from "node:crypto";
import { parsePem } from "../../encoding/pem.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import { LIMITS } from "../../limits.ts";
import { readCertificate } from "./certificate.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Whom a packet is made for. */
export interface CertificateRecipient {
  readonly publicKey: KeyObject;
  /** Both as whole DER elements. */
  readonly issuer: Bytes;
  readonly serial: Bytes;
}

const PEM_LABELS = ["CERTIFICATE", "X509 CERTIFICATE"];
const PEM_BLOCKS = 16;

/**
 * The recipient of a certificate file, PEM or DER; of a chain, the first certificate. Validity and key usage are not
 * looked at: they are about trust in a name, and the file was chosen by hand.
 * @throws DecoderError BAD_RECIPIENT
 */
export function readRecipientCertificate(path: string): CertificateRecipient {
  const refuse = (why: string, hint?: string) =>
    new DecoderError(
      "BAD_RECIPIENT",
      `pkcs7:${path} can't be a recipient: ${why}`,
      hint === undefined ? {} : { hint },
    );
  let file: Bytes;
  try {
    file = readSmallFile(path, LIMITS.keyFileBytes);
  } catch (error) {
    throw refuse(describeSystemError(error));
  }
  const der = certificateIn(file);
  const fields = der && readCertificate(der);
  if (!fields) throw refuse("it holds no X.509 certificate", "jwe:FILE takes public keys");
  const publicKey = publicKeyOf(fields.publicKey);
  if (fields.rsa === null || publicKey === null) {
    throw refuse(
      "its key is not RSA, and pkcs7 works with RSA alone",
      "jwe:FILE takes certificates with EC keys",
    );
  }
  const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < LIMITS.rsaBitsMin || bits > LIMITS.rsaBitsMax) {
    throw refuse(
      `its RSA key has ${bits} bits, and ${LIMITS.rsaBitsMin} to ${LIMITS.rsaBitsMax} are allowed`,
    );
  }
  return { publicKey, issuer: fields.issuer.whole, serial: fields.serial.whole };
}

function certificateIn(file: Bytes): Bytes | null {
  const text = Buffer.from(file).toString("latin1");
  if (!text.includes("-----BEGIN ")) return file;
  return parsePem(text, PEM_BLOCKS).find(({ label }) => PEM_LABELS.includes(label))?.body ?? null;
}

function publicKeyOf(spki: Bytes): KeyObject | null {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch {
    return null;
  }
}
