import { constants, createCipheriv, publicEncrypt, randomBytes } from "node:crypto";
import { TAG, writeElement, writeInteger, writeOid } from "../../encoding/der.ts";
import type { Wrapper } from "../scheme.ts";
import { type CertificateRecipient, readRecipientCertificate } from "./recipient-certificate.ts";

/**
 * Wraps for certificates the way all peers read it (fullsailor/pkcs7): EnvelopedData, PKCS#1 v1.5, AES-128-GCM with
 * parameters of the peers' own making, which are neither RFC 5084's nor well-formed BER.
 */

/** One packet for all recipients. See {@link WrapScheme.prepare}. */
export async function prepare(recipients: readonly string[]): Promise<readonly Wrapper[]> {
  const certificates = recipients.map(readRecipientCertificate);
  return [{ annotation: "pkcs7", wrap: async (options) => writeEnvelope(options, certificates) }];
}

const DATA = writeOid("2a864886f70d010701");
const ENVELOPED_DATA = writeOid("2a864886f70d010703");
const RSA_ENCRYPTION = writeOid("2a864886f70d010101");
const AES_128_GCM = writeOid("608648016503040106");

const KEY_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const SET = 0x31;
/** The tag of a SEQUENCE, short of its constructed bit. */
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

/** EncryptedContentInfo (RFC 5652 §6.1), its content in [0] { OCTET STRING }, as the oldest peers take it alone. */
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
