import { constants, createCipheriv, type KeyObject, publicEncrypt, randomBytes } from "node:crypto";
import type { Bytes } from "../../encoding/bytes.ts";
import { TAG, writeElement, writeInteger, writeOid } from "../../encoding/der.ts";
import { readCertificateFile } from "../../keys/public-key.ts";
import { badRecipient } from "../../keys/recipient.ts";
import { rsaSizeProblem } from "../../keys/rsa.ts";
import type { Wrapper, WrapSettings } from "../scheme.ts";
import { certificateId } from "./recipient.ts";

/**
 * Wraps for certificates in the form that all peers read (fullsailor/pkcs7): EnvelopedData, PKCS#1 v1.5, and AES-128-GCM with the
 * peers' own parameters, which are neither RFC 5084's nor well-formed BER.
 */

interface CertificateRecipient {
  readonly publicKey: KeyObject;
  /** Whole DER elements. */
  readonly issuer: Bytes;
  readonly serial: Bytes;
  /** By which packets name it. */
  readonly id: string;
}

/** Wraps for RSA certificates, all in one packet; see {@link WrapScheme}. */
export async function prepare(files: readonly string[], settings: WrapSettings): Promise<readonly Wrapper[]> {
  const recipients = await Promise.all(files.map((file) => readRecipient(file, settings)));
  const distinct = recipients.filter((it, i) => recipients.findIndex((other) => isSame(it, other)) === i);
  return [
    {
      annotation: "pkcs7",
      async wrap(options, present) {
        const missing = distinct.filter(({ id }) => !present?.has(id));
        return missing.length === 0 ? null : writeEnvelope(options, missing);
      },
    },
  ];
}

/** Two authorities with one name, or a script that always uses serial number 1, give different keys the same id. */
function isSame(one: CertificateRecipient, other: CertificateRecipient): boolean {
  return one.id === other.id && one.publicKey.equals(other.publicKey);
}

async function readRecipient(file: string, settings: WrapSettings): Promise<CertificateRecipient> {
  const recipient = { scheme: "pkcs7", file };
  const { issuer, serial, rsa, key } = await readCertificateFile(recipient, settings.certificates);
  if (rsa === null) {
    const hint = `jwe:${file} takes certificates with EC keys`;
    throw badRecipient(recipient, "has a key other than RSA, which PKCS#7 can't encrypt for", hint);
  }
  const problem = rsaSizeProblem(key.asymmetricKeyDetails?.modulusLength ?? 0);
  if (problem !== null) throw badRecipient(recipient, `is ${problem}`);
  return { publicKey: key, issuer: issuer.whole, serial: serial.whole, id: certificateId(issuer, serial) };
}

const DATA = writeOid("2a864886f70d010701");
const ENVELOPED_DATA = writeOid("2a864886f70d010703");
const RSA_ENCRYPTION = writeOid("2a864886f70d010101");
const AES_128_GCM = writeOid("608648016503040106");

const KEY_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const SET = 0x31;
/** The tag of a SEQUENCE without the constructed bit. */
const PRIMITIVE_SEQUENCE = 0x10;
const CONTEXT_4_PRIMITIVE = 0x84;
const VERSION_0 = writeInteger(Uint8Array.of(0));

function writeEnvelope(options: Uint8Array, recipients: readonly CertificateRecipient[]): Uint8Array {
  const key = randomBytes(KEY_BYTES);
  const recipientInfos = recipients.map((recipient) => writeRecipient(recipient, key));
  const encryptedContentInfo = writeContent(options, key);
  key.fill(0);
  const enveloped = writeElement(
    TAG.SEQUENCE,
    VERSION_0,
    writeElement(SET, ...recipientInfos.sort(Buffer.compare)),
    encryptedContentInfo,
  );
  return writeElement(TAG.SEQUENCE, ENVELOPED_DATA, writeElement(TAG.CONTEXT_0, enveloped));
}

/** KeyTransRecipientInfo (RFC 5652 §6.2.1). */
function writeRecipient({ issuer, serial, publicKey }: CertificateRecipient, key: Uint8Array): Uint8Array {
  const encrypted = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, key);
  return writeElement(
    TAG.SEQUENCE,
    VERSION_0,
    writeElement(TAG.SEQUENCE, issuer, serial),
    writeElement(TAG.SEQUENCE, RSA_ENCRYPTION),
    writeElement(TAG.OCTET_STRING, encrypted),
  );
}

/** EncryptedContentInfo (RFC 5652 §6.1). Its content is [0] { OCTET STRING }, the only form that the oldest peers read. */
function writeContent(options: Uint8Array, key: Uint8Array): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-128-gcm", key, nonce, { authTagLength: TAG_BYTES });
  const ciphertext = [cipher.update(options), cipher.final(), cipher.getAuthTag()];
  const parameters = writeElement(
    TAG.SEQUENCE,
    writeElement(CONTEXT_4_PRIMITIVE, nonce),
    writeInteger(Uint8Array.of(TAG_BYTES)),
  );
  return writeElement(
    TAG.SEQUENCE,
    DATA,
    writeElement(TAG.SEQUENCE, AES_128_GCM, writeElement(PRIMITIVE_SEQUENCE, parameters)),
    writeElement(TAG.CONTEXT_0, writeElement(TAG.OCTET_STRING, ...ciphertext)),
  );
}
