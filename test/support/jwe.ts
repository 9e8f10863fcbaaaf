import {
  constants,
  createCipheriv,
  createECDH,
  createHash,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import type { AsymmetricKey, KeySet } from "../../src/keys/keyset.ts";
import { type KeyLabels, parsePrivateKey } from "../../src/keys/private-key.ts";
import type { Attempt, UnwrapContext } from "../../src/keywrap/scheme.ts";

/** A maker of JWEs on node:crypto, for forms and faults that no library writes. */

type Header = Readonly<Record<string, unknown>>;

export interface RecipientSpec {
  readonly key: KeyObject;
  readonly alg: string;
  /** More header parameters: kid, apu, apv. */
  readonly header?: Header;
}

/** A JWE's parts before they are serialized: change what you like. */
export interface JweParts {
  protected: Header;
  recipients: { header: Header; encryptedKey: Buffer }[];
  iv: Buffer;
  ciphertext: Buffer;
  tag: Buffer;
}

const CONTENT: Readonly<
  Record<string, { cipher: string; keyBytes: number; ivBytes: number; hash?: string }>
> = {
  A128GCM: { cipher: "aes-128-gcm", keyBytes: 16, ivBytes: 12 },
  A192GCM: { cipher: "aes-192-gcm", keyBytes: 24, ivBytes: 12 },
  A256GCM: { cipher: "aes-256-gcm", keyBytes: 32, ivBytes: 12 },
  "A128CBC-HS256": { cipher: "aes-128-cbc", keyBytes: 32, ivBytes: 16, hash: "sha256" },
  "A192CBC-HS384": { cipher: "aes-192-cbc", keyBytes: 48, ivBytes: 16, hash: "sha384" },
  "A256CBC-HS512": { cipher: "aes-256-cbc", keyBytes: 64, ivBytes: 16, hash: "sha512" },
};

export const b64u = (bytes: string | Uint8Array) => Buffer.from(bytes as string).toString("base64url");

/** A flattened JWE with everything in the protected header, as go-jose writes it for one recipient. */
export function flattenedJwe(spec: RecipientSpec, plaintext: Uint8Array, enc = "A256GCM"): Buffer {
  const cek = randomBytes(CONTENT[enc]?.keyBytes ?? 32);
  const { header, encryptedKey } = wrapCek(spec, cek);
  return flatten(encryptContent({ enc, ...header }, [{ header: {}, encryptedKey }], cek, plaintext));
}

/** A general JWE with `enc` protected and the rest per recipient, as go-jose writes it for several. */
export function generalJwe(
  specs: readonly RecipientSpec[],
  plaintext: Uint8Array,
  enc = "A256GCM",
): JweParts {
  const cek = randomBytes(CONTENT[enc]?.keyBytes ?? 32);
  return encryptContent(
    { enc },
    specs.map((spec) => wrapCek(spec, cek)),
    cek,
    plaintext,
  );
}

/** Serializes the first recipient only. */
export function flatten(parts: JweParts, more: object = {}): Buffer {
  const [recipient] = parts.recipients;
  const header = recipient && Object.keys(recipient.header).length > 0 ? { header: recipient.header } : {};
  return json({ ...common(parts), ...header, encrypted_key: b64u(recipient?.encryptedKey ?? ""), ...more });
}

export function general(parts: JweParts, more: object = {}): Buffer {
  const recipients = parts.recipients.map(({ header, encryptedKey }) => ({
    header,
    encrypted_key: b64u(encryptedKey),
  }));
  return json({ ...common(parts), recipients, ...more });
}

export function compact(parts: JweParts): Buffer {
  const { protected: header, iv, ciphertext, tag } = common(parts);
  return Buffer.from([header, b64u(parts.recipients[0]?.encryptedKey ?? ""), iv, ciphertext, tag].join("."));
}

function common(parts: JweParts) {
  return {
    protected: b64u(JSON.stringify(parts.protected)),
    iv: b64u(parts.iv),
    ciphertext: b64u(parts.ciphertext),
    tag: b64u(parts.tag),
  };
}

const json = (value: object) => Buffer.from(JSON.stringify(value));

export function encryptContent(
  protectedHeader: Header,
  recipients: JweParts["recipients"],
  cek: Buffer,
  plaintext: Uint8Array,
  aad?: string,
): JweParts {
  const algorithm = CONTENT[String(protectedHeader["enc"])];
  if (algorithm === undefined) throw new Error(`no content encryption ${protectedHeader["enc"]}`);
  const iv = randomBytes(algorithm.ivBytes);
  const text = b64u(JSON.stringify(protectedHeader));
  const additionalData = Buffer.from(aad === undefined ? text : `${text}.${aad}`);
  const parts = { protected: protectedHeader, recipients, iv };
  if (algorithm.hash === undefined) {
    const cipher = createCipheriv(algorithm.cipher as "aes-256-gcm", cek, iv).setAAD(additionalData);
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return { ...parts, ciphertext, tag: cipher.getAuthTag() };
  }
  const half = algorithm.keyBytes / 2;
  const cipher = createCipheriv(algorithm.cipher, cek.subarray(half), iv);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  const bits = Buffer.alloc(8);
  bits.writeBigUInt64BE(BigInt(additionalData.length) * 8n);
  const hmac = createHmac(algorithm.hash, cek.subarray(0, half));
  const mac = hmac.update(additionalData).update(iv).update(ciphertext).update(bits).digest();
  return { ...parts, ciphertext, tag: mac.subarray(0, half) };
}

export function wrapCek(
  { key, alg, header = {} }: RecipientSpec,
  cek: Buffer,
): JweParts["recipients"][number] {
  if (alg === "RSA-OAEP" || alg === "RSA-OAEP-256") {
    const oaepHash = alg === "RSA-OAEP" ? "sha1" : "sha256";
    const padding = constants.RSA_PKCS1_OAEP_PADDING;
    return { header: { alg, ...header }, encryptedKey: publicEncrypt({ key, oaepHash, padding }, cek) };
  }
  const bits = Number(/^ECDH-ES\+A(\d+)KW$/.exec(alg)?.[1]);
  const ephemeral = generateKeyPairSync("ec", {
    namedCurve: key.asymmetricKeyDetails?.namedCurve ?? "P-256",
  });
  const secret = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: key });
  const kek = concatKdf(secret, alg, bits, header);
  const epk = ephemeral.publicKey.export({ format: "jwk" });
  return { header: { alg, epk, ...header }, encryptedKey: aesKw(kek, cek) };
}

/** RFC 7518 §4.6.2. */
export function concatKdf(secret: Buffer, alg: string, bits: number, header: Header): Buffer {
  const number = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const prefixed = (bytes: Buffer) => Buffer.concat([number(bytes.length), bytes]);
  const party = (name: string) => prefixed(Buffer.from(String(header[name] ?? ""), "base64url"));
  const info = [prefixed(Buffer.from(alg)), party("apu"), party("apv"), number(bits)];
  const digest = createHash("sha256").update(number(1)).update(secret);
  for (const part of info) digest.update(part);
  return digest.digest().subarray(0, bits / 8);
}

/** RFC 3394 §2.2.1, by its text. */
export function aesKw(kek: Buffer, key: Buffer): Buffer {
  const ecb = (block: Buffer) => createCipheriv(`aes-${kek.length * 8}-ecb`, kek, null).update(block);
  let a = Buffer.alloc(8, 0xa6);
  const r = Array.from({ length: key.length / 8 }, (_, i) => key.subarray(i * 8, i * 8 + 8));
  for (let j = 0; j < 6; j++) {
    for (let i = 0; i < r.length; i++) {
      const block = ecb(Buffer.concat([a, r[i] ?? Buffer.alloc(8)]));
      a = Buffer.from(block.subarray(0, 8));
      const t = r.length * j + i + 1;
      a.writeUInt32BE((a.readUInt32BE(4) ^ t) >>> 0, 4);
      r[i] = block.subarray(8, 16);
    }
  }
  return Buffer.concat([a, ...r]);
}

/** A point that is on no curve of JOSE's, for attacks with an invalid one. */
export function otherCurvePoint(): { x: string; y: string } {
  const ecdh = createECDH("secp256k1");
  const point = ecdh.generateKeys();
  return { x: b64u(point.subarray(1, 33)), y: b64u(point.subarray(33)) };
}

/** A private key as the keys path gives it. */
export function asymmetricKey(key: KeyObject, labels: Partial<KeyLabels> = {}): AsymmetricKey {
  const der = new Uint8Array(key.export({ format: "der", type: "pkcs8" }) as Buffer);
  const parsed = parsePrivateKey(der, { origin: "key.pem", ...labels });
  if (parsed === null || "reason" in parsed) throw new Error(`not usable: ${parsed?.reason}`);
  return parsed;
}

export function keySet(...keys: readonly AsymmetricKey[]): KeySet {
  return { keys, certificates: [], keyrings: [], tokenKeys: [], parameters: new Map(), skipped: [] };
}

/** A context that remembers what was recorded and spent. */
export function unwrapContext(keys: KeySet): UnwrapContext & { attempts: Attempt[]; spent: number } {
  const context = {
    keys,
    settings: { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false },
    name: "",
    attempts: [] as Attempt[],
    spent: 0,
    record: (attempt: Attempt) => {
      context.attempts.push(attempt);
    },
    spend: () => {
      context.spent++;
    },
  };
  return context;
}
