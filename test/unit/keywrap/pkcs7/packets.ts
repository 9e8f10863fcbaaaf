import { constants, createCipheriv, type KeyObject, publicEncrypt, randomBytes } from "node:crypto";
import { TAG, writeElement, writeInteger, writeOid } from "../../../../src/encoding/der.ts";
import type { Certificate, KeySet, RsaKey } from "../../../../src/keys/keyset.ts";
import type { Attempt, Opened, UnwrapContext } from "../../../../src/keywrap/scheme.ts";
import { Secret } from "../../../../src/secret.ts";
import { rsaPair } from "../../../support/rsa.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

export const OPTIONS = `{"symkey":"${Buffer.alloc(32, 7).toString("base64")}","cipheroptions":{"nonce":"AAAA"}}`;

export const OID = {
  data: "2a864886f70d010701",
  signedData: "2a864886f70d010702",
  envelopedData: "2a864886f70d010703",
  authEnvelopedData: "2a864886f70d0109100117",
  rsaEncryption: "2a864886f70d010101",
  rsaesOaep: "2a864886f70d010107",
  mgf1: "2a864886f70d010108",
  pSpecified: "2a864886f70d010109",
  sha1: "2b0e03021a",
  sha256: "608648016503040201",
  aes128Gcm: "608648016503040106",
  aes192Gcm: "60864801650304011a",
  aes256Gcm: "60864801650304012e",
  aes128Cbc: "608648016503040102",
  aes192Cbc: "608648016503040116",
  aes256Cbc: "60864801650304012a",
  tripleDesCbc: "2a864886f70d0307",
  aes128Ccm: "608648016503040107",
} as const;

export const SET = 0x31;

/** A made-up certificate holder: RSA key, certificate (its signature is nobody's) and name. */
export interface Holder {
  readonly key: RsaKey;
  readonly publicKey: KeyObject;
  readonly certificate: Certificate;
  readonly issuer: Bytes;
  readonly serial: Bytes;
  readonly keyId: Bytes;
}

export interface HolderOptions {
  readonly modulusLength?: number;
  readonly name?: string;
  readonly publicKey?: KeyObject;
  readonly privateKey?: KeyObject;
}

let holders = 0;

export function holder({ modulusLength = 2048, name = "node", ...given }: HolderOptions = {}): Holder {
  const pair = given.publicKey ? undefined : rsaPair(modulusLength);
  const publicKey = given.publicKey ?? pair?.publicKey;
  const privateKey = given.privateKey ?? pair?.privateKey;
  if (!publicKey || !privateKey) throw new Error("half a key pair");
  holders++;
  const issuer = writeName(name);
  const serial = writeInteger(Uint8Array.of(holders));
  const keyId = new Uint8Array(randomBytes(20));
  const pkcs8 = new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" }));
  const origin = `${name}-${holders}`;
  return {
    key: {
      type: "rsa",
      modulusLength,
      modulus: modulusOf(publicKey),
      pkcs8: new Secret(pkcs8),
      origin: `${origin}.key`,
    },
    publicKey,
    certificate: { der: writeCertificate({ issuer, serial, publicKey, keyId }), origin: `${origin}.crt` },
    issuer,
    serial,
    keyId,
  };
}

function modulusOf(publicKey: KeyObject): Bytes {
  return new Uint8Array(Buffer.from(publicKey.export({ format: "jwk" }).n ?? "", "base64url"));
}

function keySet(parts: Partial<KeySet>): KeySet {
  return {
    keys: [],
    certificates: [],
    keyrings: [],
    tokenKeys: [],
    parameters: new Map(),
    skipped: [],
    ...parts,
  };
}

export function contextFor(keys: Partial<KeySet>): UnwrapContext {
  return {
    keys: keySet(keys),
    settings: { environment: {}, providerTimeoutMs: 0, providerLegacyDc: false, verbose: false },
    name: "",
    record: () => {},
    spend: () => {},
  };
}

/** Runs `unwrap` and keeps what it told its driver. */
export async function open(
  unwrap: (packet: Bytes, context: UnwrapContext) => Promise<Opened | null>,
  packet: Bytes,
  keys: Partial<KeySet>,
) {
  const attempts: Attempt[] = [];
  let operations = 0;
  const opened = await unwrap(packet, {
    ...contextFor(keys),
    record: (attempt) => attempts.push(attempt),
    spend: () => {
      operations++;
    },
  });
  const options = opened && Buffer.from(opened.options.bytes).toString();
  return { opened, options, attempts, operations };
}

/** CN=… alone. */
export function writeName(commonName: string): Bytes {
  const value = writeElement(0x0c, Buffer.from(commonName));
  const attribute = writeElement(TAG.SEQUENCE, writeOid("550403"), value);
  return writeElement(TAG.SEQUENCE, writeElement(SET, attribute));
}

const EXTENSIONS = {
  basicConstraints: "551d13",
  subjectKeyIdentifier: "551d0e",
} as const;

function extension(oid: string, critical: boolean, value: Bytes): Bytes {
  const flag = critical ? [writeElement(0x01, Uint8Array.of(0xff))] : [];
  return writeElement(TAG.SEQUENCE, writeOid(oid), ...flag, writeElement(TAG.OCTET_STRING, value));
}

interface CertificateParts {
  readonly issuer: Bytes;
  readonly serial: Bytes;
  readonly publicKey: KeyObject;
  /** None: a certificate of version 1, which has no extensions. */
  readonly keyId?: Bytes;
}

export function writeCertificate({ issuer, serial, publicKey, keyId }: CertificateParts): Bytes {
  const algorithm = writeElement(TAG.SEQUENCE, writeOid("2a864886f70d01010b"));
  const utcTime = (text: string) => writeElement(0x17, Buffer.from(text));
  const extensions =
    keyId &&
    writeElement(
      TAG.SEQUENCE,
      extension(EXTENSIONS.basicConstraints, true, writeElement(TAG.SEQUENCE)),
      extension(EXTENSIONS.subjectKeyIdentifier, false, writeElement(TAG.OCTET_STRING, keyId)),
    );
  const tbs = writeElement(
    TAG.SEQUENCE,
    ...(extensions ? [writeElement(TAG.CONTEXT_0, writeInteger(Uint8Array.of(2)))] : []),
    serial,
    algorithm,
    issuer,
    writeElement(TAG.SEQUENCE, utcTime("200101000000Z"), utcTime("491231235959Z")),
    issuer,
    publicKey.export({ format: "der", type: "spki" }),
    ...(extensions ? [writeElement(0xa3, extensions)] : []),
  );
  return writeElement(TAG.SEQUENCE, tbs, algorithm, writeElement(TAG.BIT_STRING, Uint8Array.of(0)));
}

/** How a packet differs from what every writer would make. */
export interface PacketParts {
  readonly contentType?: string;
  readonly version?: number;
  readonly recipients: (contentKey: Uint8Array) => readonly Bytes[];
  /** Of the content. */
  readonly algorithm?: string;
  readonly keyLength?: number;
  readonly nonceLength?: number;
  readonly tagLength?: number;
  readonly parameters?: (nonce: Uint8Array) => Bytes;
  /** Elements of authAttrs, which make the content be authenticated with them. */
  readonly attributes?: Bytes;
  readonly innerType?: string;
  readonly text?: Uint8Array;
  /** How the ciphertext is put into [0]. */
  readonly encode?: (ciphertext: Bytes) => Bytes;
}

const GCM_CIPHERS = { 16: "aes-128-gcm", 24: "aes-192-gcm", 32: "aes-256-gcm" } as const;

/** AuthEnvelopedData as RFC 5083 has it, unless `contentType` says EnvelopedData: then the tag ends the content. */
export function writePacket(parts: PacketParts): Bytes {
  const contentKey = randomBytes(parts.keyLength ?? 32);
  const nonce = randomBytes(parts.nonceLength ?? 12);
  const name = GCM_CIPHERS[contentKey.length as keyof typeof GCM_CIPHERS];
  const cipher = createCipheriv(name, contentKey, nonce, { authTagLength: parts.tagLength ?? 16 });
  if (parts.attributes) cipher.setAAD(writeElement(SET, parts.attributes));
  const text = Buffer.concat([cipher.update(parts.text ?? Buffer.from(OPTIONS)), cipher.final()]);
  const mac = cipher.getAuthTag();
  const contentType = parts.contentType ?? OID.authEnvelopedData;
  const auth = contentType === OID.authEnvelopedData;
  const encode = parts.encode ?? ((bytes: Bytes) => writeElement(0x80, bytes));
  const parameters = parts.parameters ?? ((bytes: Uint8Array) => gcmParameters(bytes, parts.tagLength ?? 16));
  const info = writeElement(
    TAG.SEQUENCE,
    writeOid(parts.innerType ?? OID.data),
    writeElement(TAG.SEQUENCE, writeOid(parts.algorithm ?? OID.aes256Gcm), parameters(nonce)),
    encode(new Uint8Array(auth ? text : Buffer.concat([text, mac]))),
  );
  const data = writeElement(
    TAG.SEQUENCE,
    writeInteger(Uint8Array.of(parts.version ?? 0)),
    writeElement(SET, ...parts.recipients(contentKey)),
    info,
    ...(parts.attributes ? [writeElement(0xa1, parts.attributes)] : []),
    ...(auth ? [writeElement(TAG.OCTET_STRING, mac)] : []),
  );
  return writeElement(TAG.SEQUENCE, writeOid(contentType), writeElement(TAG.CONTEXT_0, data));
}

export function gcmParameters(nonce: Uint8Array, tagLength?: number): Bytes {
  const length = tagLength === undefined ? [] : [writeInteger(Uint8Array.of(tagLength))];
  return writeElement(TAG.SEQUENCE, writeElement(TAG.OCTET_STRING, nonce), ...length);
}

/** A KeyTransRecipientInfo for a holder; by issuer and serial, or by key identifier. */
export function recipientInfo(
  to: Pick<Holder, "issuer" | "serial" | "keyId" | "publicKey">,
  contentKey: Uint8Array,
  how: {
    readonly by?: "issuer" | "keyId";
    readonly version?: number;
    readonly algorithm?: Bytes;
    readonly encrypted?: Uint8Array;
  } = {},
): Bytes {
  const byKeyId = how.by === "keyId";
  const encrypted =
    how.encrypted ?? publicEncrypt({ key: to.publicKey, padding: constants.RSA_PKCS1_PADDING }, contentKey);
  return writeElement(
    TAG.SEQUENCE,
    writeInteger(Uint8Array.of(how.version ?? (byKeyId ? 2 : 0))),
    byKeyId ? writeElement(0x80, to.keyId) : writeElement(TAG.SEQUENCE, to.issuer, to.serial),
    how.algorithm ?? writeElement(TAG.SEQUENCE, writeOid(OID.rsaEncryption), writeElement(TAG.NULL)),
    writeElement(TAG.OCTET_STRING, encrypted),
  );
}

export function packetFor(...to: readonly Holder[]): Bytes {
  return writePacket({ recipients: (key) => to.map((one) => recipientInfo(one, key)) });
}
