import {
  constants,
  createCipheriv,
  createECDH,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  publicEncrypt,
} from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../fuzz/random.ts";
import { aesKw, concatKdf, type JweParts } from "../support/jwe.ts";

/** Everything random comes from here, so that the vectors come out the same each time they are generated. */
export type Dice = Random;

export const KEYS = join(import.meta.dirname, "data/keys");

export function privateKey(name: string): KeyObject {
  return createPrivateKey(readFileSync(join(KEYS, name)));
}

export function publicKey(name: string): KeyObject {
  return createPublicKey(privateKey(name));
}

export const b64 = (bytes: Uint8Array | string) => Buffer.from(bytes as string).toString("base64");
export const b64u = (bytes: Uint8Array | string) => Buffer.from(bytes as string).toString("base64url");
export const json = (value: unknown) => Buffer.from(JSON.stringify(value));

type Header = Readonly<Record<string, unknown>>;
export type Wrapped = JweParts["recipients"][number];

const CURVES: Readonly<Record<string, { name: string; bytes: number }>> = {
  "P-256": { name: "prime256v1", bytes: 32 },
  "P-384": { name: "secp384r1", bytes: 48 },
  "P-521": { name: "secp521r1", bytes: 66 },
};

/** RFC 7518 §4.6, with an ephemeral key from the dice. */
export function wrapEcdh(key: KeyObject, alg: string, cek: Buffer, dice: Dice, header: Header = {}): Wrapped {
  const { crv = "", x = "", y = "" } = key.export({ format: "jwk" });
  const curve = CURVES[crv];
  if (curve === undefined) throw new Error(`no curve ${crv}`);
  const ecdh = createECDH(curve.name);
  const scalar = dice.bytes(curve.bytes);
  scalar[0] = 0;
  ecdh.setPrivateKey(scalar);
  const point = ecdh.getPublicKey();
  const coordinates = Buffer.concat([Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
  const secret = ecdh.computeSecret(Buffer.concat([Buffer.of(4), coordinates]));
  const bits = Number(/A(\d+)KW$/.exec(alg)?.[1]);
  const epk = {
    kty: "EC",
    crv,
    x: b64u(point.subarray(1, 1 + curve.bytes)),
    y: b64u(point.subarray(1 + curve.bytes)),
  };
  return { header: { alg, epk, ...header }, encryptedKey: aesKw(concatKdf(secret, alg, bits, header), cek) };
}

/** RFC 8017 §7.1.1, with a seed from the dice. */
export function wrapOaep(
  key: KeyObject,
  alg: "RSA-OAEP" | "RSA-OAEP-256",
  cek: Buffer,
  dice: Dice,
  header: Header = {},
): Wrapped {
  return {
    header: { alg, ...header },
    encryptedKey: rsaOaep(key, alg === "RSA-OAEP" ? "sha1" : "sha256", cek, dice),
  };
}

export function rsaOaep(key: KeyObject, hash: string, message: Buffer, dice: Dice): Buffer {
  const digest = (...parts: Uint8Array[]) =>
    parts.reduce((it, part) => it.update(part), createHash(hash)).digest();
  const mask = (seed: Buffer, length: number) => {
    const blocks: Buffer[] = [];
    for (let i = 0; blocks.length * digest().length < length; i++)
      blocks.push(digest(seed, Buffer.of(0, 0, 0, i)));
    return Buffer.concat(blocks).subarray(0, length);
  };
  const xor = (a: Buffer, b: Buffer) => Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));
  const size = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  const labelHash = digest();
  const block = Buffer.alloc(size - labelHash.length - 1);
  labelHash.copy(block);
  block[block.length - message.length - 1] = 1;
  message.copy(block, block.length - message.length);
  const seed = dice.bytes(labelHash.length);
  const maskedBlock = xor(block, mask(seed, block.length));
  const maskedSeed = xor(seed, mask(maskedBlock, seed.length));
  const padding = constants.RSA_NO_PADDING;
  return publicEncrypt({ key, padding }, Buffer.concat([Buffer.of(0), maskedSeed, maskedBlock]));
}

/** RFC 8017 §7.2.1; none of the padding is 0. */
export function rsaPkcs1(key: KeyObject, message: Buffer, dice: Dice): Buffer {
  const size = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  const filler = dice.bytes(size - message.length - 3).map((byte) => byte || 1);
  const block = Buffer.concat([Buffer.of(0, 2), filler, Buffer.of(0), message]);
  return publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, block);
}

const CBC: Readonly<Record<string, string>> = {
  "A128CBC-HS256": "sha256",
  "A192CBC-HS384": "sha384",
  "A256CBC-HS512": "sha512",
};
const CEK_BYTES: Readonly<Record<string, number>> = {
  A128GCM: 16,
  A192GCM: 24,
  A256GCM: 32,
  "A128CBC-HS256": 32,
  "A192CBC-HS384": 48,
  "A256CBC-HS512": 64,
};

export interface JweSpec {
  readonly enc?: string;
  readonly plaintext: Buffer;
  readonly recipients: readonly ((cek: Buffer, dice: Dice) => Wrapped)[];
  /** Puts the first recipient's header into the protected one, as go-jose does for a single recipient. */
  readonly flattened?: boolean;
  /** More of the protected header. */
  readonly protected?: Header;
  readonly aad?: string;
}

/** A JWE before it is serialized; `flatten` and `general` of the support do that. */
export function makeJwe(spec: JweSpec, dice: Dice): JweParts {
  const enc = spec.enc ?? "A256GCM";
  const cek = dice.bytes(CEK_BYTES[enc] ?? 32);
  const recipients = spec.recipients.map((wrap) => wrap(cek, dice));
  const [first] = recipients;
  const flattened = spec.flattened ?? recipients.length === 1;
  const header = { enc, ...(flattened ? first?.header : {}), ...spec.protected };
  const hash = CBC[enc];
  const iv = dice.bytes(hash ? 16 : 12);
  const text = b64u(JSON.stringify(header));
  const additional = Buffer.from(spec.aad === undefined ? text : `${text}.${spec.aad}`);
  const bare = flattened && first ? [{ ...first, header: {} }] : recipients;
  const parts = { protected: header, recipients: bare, iv };
  if (hash === undefined) {
    const cipher = createCipheriv(`aes-${cek.length * 8}-gcm` as "aes-256-gcm", cek, iv).setAAD(additional);
    const ciphertext = Buffer.concat([cipher.update(spec.plaintext), cipher.final()]);
    return { ...parts, ciphertext, tag: cipher.getAuthTag() };
  }
  const half = cek.length / 2;
  const cipher = createCipheriv(`aes-${half * 8}-cbc`, cek.subarray(half), iv);
  const ciphertext = Buffer.concat([cipher.update(spec.plaintext), cipher.final()]);
  const bits = Buffer.alloc(8);
  bits.writeBigUInt64BE(BigInt(additional.length) * 8n);
  const mac = [additional, iv, ciphertext, bits].reduce(
    (it, part) => it.update(part),
    createHmac(hash, cek.subarray(0, half)),
  );
  return { ...parts, ciphertext, tag: mac.digest().subarray(0, half) };
}
