import type { Case } from "../build.ts";
import { b64u } from "../material.ts";
import {
  ec,
  epk,
  flip,
  header,
  jwe,
  key,
  members,
  noKey,
  packet,
  rsa,
  rsaKeys,
  SECP256K1,
  without,
} from "./jwe-parts.ts";

/** Encrypted keys and ephemeral keys. */
export const JWE_KEYS: Readonly<Record<string, Case>> = {
  "jwe-key-missing": {
    about: "no encrypted_key",
    expect: packet,
    ...members((it) => without(it, "encrypted_key")),
  },
  "jwe-key-empty": { about: "an empty encrypted_key", expect: noKey, ...jwe(key(() => Buffer.alloc(0))) },
  "jwe-key-empty-rsa": {
    about: "an empty encrypted_key for RSA",
    expect: noKey,
    ...jwe(key(() => Buffer.alloc(0), rsa())),
    ...rsaKeys,
  },
  "jwe-key-short": {
    about: "an encrypted_key without its last 8 bytes",
    expect: noKey,
    ...jwe(key((it) => it.subarray(0, -8))),
  },
  "jwe-key-long": {
    about: "an encrypted_key with 8 bytes more",
    expect: noKey,
    ...jwe(key((it) => Buffer.concat([it, Buffer.alloc(8)]))),
  },
  "jwe-key-8": {
    about: "an encrypted_key of 8 bytes: key wrap of nothing",
    expect: noKey,
    ...jwe(key(() => Buffer.alloc(8))),
  },
  "jwe-key-short-rsa": {
    about: "an encrypted_key a byte shorter than RSA's modulus",
    expect: noKey,
    ...jwe(key((it) => it.subarray(1), rsa())),
    ...rsaKeys,
  },
  "jwe-key-long-rsa": {
    about: "an encrypted_key with a zero byte before it",
    expect: noKey,
    ...jwe(key((it) => Buffer.concat([Buffer.of(0), it]), rsa())),
    ...rsaKeys,
  },
  "jwe-key-above-modulus": {
    about: "an encrypted_key above RSA's modulus",
    expect: noKey,
    ...jwe(key((it) => Buffer.alloc(it.length, 0xff), rsa())),
    ...rsaKeys,
  },
  "jwe-key-zero-rsa": {
    about: "an encrypted_key of zeros for RSA",
    expect: noKey,
    ...jwe(key((it) => Buffer.alloc(it.length), rsa())),
    ...rsaKeys,
  },
  "jwe-key-bit": {
    about: "a changed bit in the encrypted_key",
    expect: noKey,
    ...jwe(
      key((it) => {
        const copy = Buffer.from(it);
        copy[0] = (copy[0] ?? 0) ^ 1;
        return copy;
      }),
    ),
  },
  "jwe-key-bit-rsa": {
    about: "a changed bit in RSA's encrypted_key",
    expect: noKey,
    ...jwe(
      key((it) => {
        const copy = Buffer.from(it);
        copy[100] = (copy[100] ?? 0) ^ 1;
        return copy;
      }, rsa()),
    ),
    ...rsaKeys,
  },
  "jwe-key-cek-short": {
    about: "a content key of 16 bytes in RSA-OAEP for A256GCM",
    expect: noKey,
    ...jwe((cek, dice) => rsa()(cek.subarray(0, 16), dice)),
    ...rsaKeys,
  },
  "jwe-key-cek-empty": {
    about: "an empty content key in RSA-OAEP",
    expect: noKey,
    ...jwe((_cek, dice) => rsa()(Buffer.alloc(0), dice)),
    ...rsaKeys,
  },
  "jwe-key-base64": {
    about: "the encrypted_key in base64 in place of base64url",
    expect: packet,
    ...members((it) => ({ ...it, encrypted_key: `+/${it["encrypted_key"]}` })),
  },
  "jwe-epk-missing": { about: "no epk", expect: noKey, ...jwe(header(ec(), (it) => without(it, "epk"))) },
  "jwe-epk-text": { about: "an epk that is text", expect: noKey, ...jwe(epk(() => "MFkw")) },
  "jwe-epk-null": { about: "an epk of null", expect: noKey, ...jwe(epk(() => null)) },
  "jwe-epk-kty": { about: "an epk of type OKP", expect: noKey, ...jwe(epk((it) => ({ ...it, kty: "OKP" }))) },
  "jwe-epk-off-curve": {
    about: "an epk that is no point of its curve",
    expect: noKey,
    ...jwe(epk((it) => ({ ...it, y: flip(it["y"], -1) }))),
  },
  "jwe-epk-infinity": {
    about: "an epk of zeros",
    expect: noKey,
    ...jwe(epk((it) => ({ ...it, x: b64u(Buffer.alloc(32)), y: b64u(Buffer.alloc(32)) }))),
  },
  "jwe-epk-above-prime": {
    about: "an epk whose coordinates are not below the curve's prime",
    expect: noKey,
    ...jwe(epk((it) => ({ ...it, x: b64u(Buffer.alloc(32, 0xff)), y: b64u(Buffer.alloc(32, 0xff)) }))),
  },
  "jwe-epk-secp256k1": {
    about: "a point of secp256k1, said to be P-256's",
    expect: noKey,
    ...jwe(epk((it) => ({ ...it, ...SECP256K1 }))),
  },
  "jwe-epk-crv-secp256k1": {
    about: "an epk on secp256k1",
    expect: noKey,
    ...jwe(epk((it) => ({ ...it, crv: "secp256k1", ...SECP256K1 }))),
  },
  "jwe-epk-crv-missing": {
    about: "an epk without a curve",
    expect: noKey,
    ...jwe(epk((it) => without(it, "crv"))),
  },
  "jwe-epk-crv-other": {
    about: "an epk of P-256 said to be of P-384",
    expect: noKey,
    ...jwe(epk((it) => ({ ...it, crv: "P-384" }))),
  },
  "jwe-epk-wrong-curve": {
    about: "an epk of P-384 for a key of P-256",
    expect: noKey,
    ...jwe(ec("p384.pem")),
  },
  "jwe-epk-x-short": {
    about: "an epk whose x is a byte short",
    expect: noKey,
    ...jwe(epk((it) => ({ ...it, x: b64u(Buffer.from(String(it["x"]), "base64url").subarray(1)) }))),
  },
  "jwe-epk-x-long": {
    about: "an epk whose x has a zero byte more",
    expect: noKey,
    ...jwe(
      epk((it) => ({
        ...it,
        x: b64u(Buffer.concat([Buffer.of(0), Buffer.from(String(it["x"]), "base64url")])),
      })),
    ),
  },
  "jwe-epk-no-y": { about: "an epk without y", expect: noKey, ...jwe(epk((it) => without(it, "y"))) },
  "jwe-epk-private": {
    about: "an epk with a private part, which is ignored",
    expect: "ok",
    ...jwe(epk((it) => ({ ...it, d: b64u(Buffer.alloc(32, 1)) }))),
  },
  "jwe-apu-apv": {
    about: "apu and apv",
    expect: "ok",
    ...jwe(ec("p256.pem", "ECDH-ES+A256KW", { apu: b64u("Alice"), apv: b64u("Bob") })),
  },
  "jwe-apu-changed": {
    about: "an apu that somebody added",
    expect: noKey,
    ...jwe(header(ec(), (it) => ({ ...it, apu: b64u("Eve") }))),
  },
  "jwe-apu-not-base64": {
    about: "an apu that is no base64url",
    expect: noKey,
    ...jwe(header(ec(), (it) => ({ ...it, apu: "?" }))),
  },
  "jwe-apu-number": {
    about: "an apu that is a number",
    expect: noKey,
    ...jwe(header(ec(), (it) => ({ ...it, apu: 5 }))),
  },
};
