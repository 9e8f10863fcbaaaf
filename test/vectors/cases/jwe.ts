import { compact, flatten, general, type JweParts } from "../../support/jwe.ts";
import { type Case, type Json, JWE } from "../build.ts";
import {
  b64,
  b64u,
  type Dice,
  type JweSpec,
  makeJwe,
  publicKey,
  type Wrapped,
  wrapEcdh,
  wrapOaep,
} from "../material.ts";

const packet = "BAD_PACKET";
const noKey = "NO_KEY";
type Wrap = (cek: Buffer, dice: Dice) => Wrapped;

const ec =
  (key = "p256.pem", alg = "ECDH-ES+A256KW", header: Json = {}): Wrap =>
  (cek, dice) =>
    wrapEcdh(publicKey(key), alg, cek, dice, header);
const rsa =
  (alg: "RSA-OAEP" | "RSA-OAEP-256" = "RSA-OAEP", header: Json = {}, key = "rsa2048.pem"): Wrap =>
  (cek, dice) =>
    wrapOaep(publicKey(key), alg, cek, dice, header);
/** A recipient whose header or key is changed after it was made. */
const changed =
  (wrap: Wrap, change: (it: Wrapped) => Wrapped): Wrap =>
  (cek, dice) =>
    change(wrap(cek, dice));
const header = (wrap: Wrap, change: (it: Json) => Json): Wrap =>
  changed(wrap, (it) => ({ ...it, header: change({ ...it.header }) }));
const epk = (change: (it: Json) => unknown): Wrap =>
  header(ec(), (it) => ({ ...it, epk: change({ ...(it["epk"] as Json) }) }));
const key = (change: (it: Buffer) => Buffer, wrap = ec()): Wrap =>
  changed(wrap, (it) => ({ ...it, encryptedKey: change(it.encryptedKey) }));

/** A JWE of these recipients, changed at last. */
const jwe = (
  recipients: Wrap | readonly Wrap[],
  change: (it: JweParts) => Buffer = flatten,
  spec: Partial<JweSpec> = {},
): Pick<Case, "wrap"> => ({
  wrap: (plaintext, dice) => ({
    [JWE]: b64(
      change(
        makeJwe(
          { plaintext, recipients: typeof recipients === "function" ? [recipients] : recipients, ...spec },
          dice,
        ),
      ),
    ),
  }),
});
/** The members of the flattened JSON, changed. */
const members = (change: (it: Json) => unknown, wrap: Wrap = ec(), spec: Partial<JweSpec> = {}) =>
  jwe(
    wrap,
    (it) => {
      const json = change(JSON.parse(flatten(it).toString()));
      return Buffer.isBuffer(json) ? json : Buffer.from(JSON.stringify(json));
    },
    spec,
  );
const without = (it: Json, name: string) =>
  Object.fromEntries(Object.entries(it).filter(([key]) => key !== name));
const alg = (value: unknown) => jwe(header(ec(), (it) => ({ ...it, alg: value })));
const rsaKeys = { keys: { "node.pem": "rsa2048.pem" } };
const flip = (text: unknown, at: number) => {
  const bytes = Buffer.from(String(text), "base64url");
  const i = at < 0 ? bytes.length + at : at;
  bytes[i] = (bytes[i] ?? 0) ^ 1;
  return b64u(bytes);
};
/** secp256k1's generator (SEC 2 §2.4.1). */
const SECP256K1 = {
  x: b64u(Buffer.from("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "hex")),
  y: b64u(Buffer.from("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8", "hex")),
};

export const JWE_CASES: Readonly<Record<string, Case>> = {
  ...Object.fromEntries(
    [
      "dir",
      "none",
      "A128KW",
      "A256KW",
      "A256GCMKW",
      "ECDH-ES",
      "RSA1_5",
      "RSA-OAEP-384",
      "RSA-OAEP-512",
      "PBES2-HS256+A128KW",
      "ECDH-ES+A256GCMKW",
      "ecdh-es+a256kw",
      "HS256",
      "",
    ].map((name) => [
      `jwe-alg-${name === "" ? "empty" : name === "ecdh-es+a256kw" ? "small-letters" : name.replaceAll("+", "-").replace("_", "-").toLowerCase()}`,
      { about: `alg ${name || "of no letters"}, which is not allowed`, expect: noKey, ...alg(name) },
    ]),
  ),
  "jwe-alg-missing": { about: "no alg", expect: noKey, ...jwe(header(ec(), (it) => without(it, "alg"))) },
  "jwe-alg-number": { about: "an alg that is a number", expect: noKey, ...alg(5) },
  "jwe-alg-list": { about: "an alg that is a list", expect: noKey, ...alg(["ECDH-ES+A256KW"]) },
  "jwe-alg-proto": { about: "an alg named constructor", expect: noKey, ...alg("constructor") },
  "jwe-alg-other-size": {
    about: "ECDH-ES+A128KW in the header, A256KW in fact",
    expect: noKey,
    ...alg("ECDH-ES+A128KW"),
  },
  "jwe-alg-rsa-for-ec-key": {
    about: "RSA-OAEP, and a key of an elliptic curve alone",
    expect: noKey,
    ...jwe(rsa()),
  },
  "jwe-ecdh-a128kw": { about: "ECDH-ES+A128KW", expect: "ok", ...jwe(ec("p256.pem", "ECDH-ES+A128KW")) },
  "jwe-ecdh-a192kw": { about: "ECDH-ES+A192KW", expect: "ok", ...jwe(ec("p256.pem", "ECDH-ES+A192KW")) },
  "jwe-p384": { about: "P-384", expect: "ok", ...jwe(ec("p384.pem")), keys: { "node.pem": "p384.pem" } },
  "jwe-p521": { about: "P-521", expect: "ok", ...jwe(ec("p521.pem")), keys: { "node.pem": "p521.pem" } },
  "jwe-rsa-oaep": { about: "RSA-OAEP", expect: "ok", ...jwe(rsa()), ...rsaKeys },
  "jwe-rsa-oaep-256": { about: "RSA-OAEP-256", expect: "ok", ...jwe(rsa("RSA-OAEP-256")), ...rsaKeys },
  "jwe-rsa-oaep-as-256": {
    about: "RSA-OAEP-256 in the header, RSA-OAEP in fact",
    expect: noKey,
    ...jwe(header(rsa(), (it) => ({ ...it, alg: "RSA-OAEP-256" }))),
    ...rsaKeys,
  },
  ...Object.fromEntries(
    ["A128GCM", "A192GCM", "A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512"].map((enc) => [
      `jwe-enc-${enc.toLowerCase()}`,
      { about: `enc ${enc}`, expect: "ok", ...jwe(ec(), flatten, { enc }) },
    ]),
  ),
  "jwe-enc-missing": {
    about: "no enc",
    expect: packet,
    ...members((it) => it, ec(), { protected: { enc: undefined } }),
  },
  "jwe-enc-unknown": {
    about: "an enc that there is not",
    expect: packet,
    ...jwe(ec(), flatten, { protected: { enc: "A256CTR" } }),
  },
  "jwe-enc-none": {
    about: "enc none",
    expect: packet,
    ...jwe(ec(), flatten, { protected: { enc: "none" } }),
  },
  "jwe-enc-other-size": {
    about: "A128GCM in the header, with a key of A256GCM",
    expect: noKey,
    ...jwe(ec(), flatten, { protected: { enc: "A128GCM" } }),
  },
  "jwe-enc-cbc-for-gcm": {
    about: "A128CBC-HS256 in the header, A256GCM in fact",
    expect: packet,
    ...jwe(ec(), flatten, { protected: { enc: "A128CBC-HS256" } }),
  },
  "jwe-enc-disagree": {
    about: "recipients that disagree about enc",
    expect: packet,
    ...jwe(
      [
        header(ec(), (it) => ({ ...it, enc: "A256GCM" })),
        header(ec("p384.pem"), (it) => ({ ...it, enc: "A128GCM" })),
      ],
      general,
      { protected: { enc: undefined } },
    ),
  },
  "jwe-zip": {
    about: "zip, which would have to be inflated",
    expect: packet,
    ...jwe(ec(), flatten, { protected: { zip: "DEF" } }),
  },
  "jwe-zip-unprotected": {
    about: "zip in the unprotected header",
    expect: packet,
    ...members((it) => ({ ...it, unprotected: { zip: "DEF" } })),
  },
  "jwe-zip-null": {
    about: "zip of null",
    expect: packet,
    ...jwe(ec(), flatten, { protected: { zip: null } }),
  },
  "jwe-crit": {
    about: "a critical extension",
    expect: packet,
    ...jwe(ec(), flatten, { protected: { crit: ["exp"], exp: 1 } }),
  },
  "jwe-crit-empty": {
    about: "an empty list of critical extensions",
    expect: packet,
    ...jwe(ec(), flatten, { protected: { crit: [] } }),
  },
  "jwe-crit-unprotected": {
    about: "a critical extension in the recipient's header",
    expect: packet,
    ...members((it) => ({ ...it, header: { crit: ["b64"], b64: true } })),
  },
  "jwe-unknown-header": {
    about: "a header parameter that nobody knows",
    expect: "ok",
    ...jwe(ec(), flatten, { protected: { "x-made-by": "test" } }),
  },
  "jwe-65-headers": {
    about: "a header of more parameters than any",
    expect: packet,
    ...jwe(ec(), flatten, {
      protected: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x${i}`, i])),
    }),
  },
  "jwe-protected-missing": {
    about: "no protected header: enc has nowhere to be",
    expect: packet,
    ...members((it) => without(it, "protected")),
  },
  "jwe-protected-empty": {
    about: "an empty protected header",
    expect: packet,
    ...members((it) => ({ ...it, protected: "" })),
  },
  "jwe-protected-not-base64": {
    about: "a protected header that is no base64url",
    expect: packet,
    ...members((it) => ({ ...it, protected: "{}" })),
  },
  "jwe-protected-padded": {
    about: "base64 padding in the protected header",
    expect: packet,
    ...members((it) => ({ ...it, protected: `${it["protected"]}=` })),
  },
  "jwe-protected-not-json": {
    about: "a protected header that is no JSON",
    expect: packet,
    ...members((it) => ({ ...it, protected: b64u("enc") })),
  },
  "jwe-protected-list": {
    about: "a protected header that is a list",
    expect: packet,
    ...members((it) => ({ ...it, protected: b64u("[]") })),
  },
  "jwe-protected-number": {
    about: "a protected header that is a number",
    expect: packet,
    ...members((it) => ({ ...it, protected: 1 })),
  },
  "jwe-protected-changed": {
    about: "a space more in the protected header, which is authenticated",
    expect: noKey,
    ...members((it) => ({ ...it, protected: b64u(`${Buffer.from(String(it["protected"]), "base64url")} `) })),
  },
  "jwe-header-twice": {
    about: "alg in the protected and in the unprotected header",
    expect: packet,
    ...members((it) => ({ ...it, unprotected: { alg: "ECDH-ES+A256KW" } })),
  },
  "jwe-header-per-recipient": {
    about: "alg and epk in the recipient's header of a flattened JWE",
    expect: "ok",
    ...jwe(ec(), flatten, { flattened: false }),
  },
  "jwe-header-unprotected": {
    about: "alg and epk in the unprotected header",
    expect: "ok",
    ...members((it) => ({ ...without(it, "header"), unprotected: it["header"] }), ec(), { flattened: false }),
  },
  "jwe-header-text": {
    about: "a recipient's header that is text",
    expect: packet,
    ...members((it) => ({ ...it, header: "alg" })),
  },
  "jwe-header-null": {
    about: "a recipient's header of null is none",
    expect: "ok",
    ...members((it) => ({ ...it, header: null })),
  },
  "jwe-aad": {
    about: "additional data that is authenticated",
    expect: "ok",
    ...members((it) => ({ ...it, aad: b64u("more") }), ec(), { aad: b64u("more") }),
  },
  "jwe-aad-added": {
    about: "additional data that somebody added",
    expect: noKey,
    ...members((it) => ({ ...it, aad: b64u("more") })),
  },
  "jwe-aad-number": {
    about: "additional data that is a number",
    expect: packet,
    ...members((it) => ({ ...it, aad: 5 })),
  },
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
  "jwe-iv-missing": { about: "no iv", expect: packet, ...members((it) => without(it, "iv")) },
  "jwe-iv-empty": { about: "an empty iv", expect: packet, ...members((it) => ({ ...it, iv: "" })) },
  "jwe-iv-short": {
    about: "an iv of 11 bytes",
    expect: packet,
    ...jwe(ec(), (it) => flatten({ ...it, iv: it.iv.subarray(1) })),
  },
  "jwe-iv-16": {
    about: "an iv of 16 bytes for GCM",
    expect: packet,
    ...jwe(ec(), (it) => flatten({ ...it, iv: Buffer.concat([it.iv, Buffer.alloc(4)]) })),
  },
  "jwe-iv-12-cbc": {
    about: "an iv of 12 bytes for CBC",
    expect: packet,
    ...jwe(ec(), (it) => flatten({ ...it, iv: it.iv.subarray(0, 12) }), { enc: "A128CBC-HS256" }),
  },
  "jwe-iv-bit": {
    about: "a changed bit in the iv",
    expect: noKey,
    ...members((it) => ({ ...it, iv: flip(it["iv"], 0) })),
  },
  "jwe-tag-missing": { about: "no tag", expect: packet, ...members((it) => without(it, "tag")) },
  "jwe-tag-empty": { about: "an empty tag", expect: packet, ...members((it) => ({ ...it, tag: "" })) },
  "jwe-tag-4": {
    about: "a tag of 4 bytes",
    expect: packet,
    ...jwe(ec(), (it) => flatten({ ...it, tag: it.tag.subarray(0, 4) })),
  },
  "jwe-tag-12": {
    about: "a tag of 12 bytes",
    expect: packet,
    ...jwe(ec(), (it) => flatten({ ...it, tag: it.tag.subarray(0, 12) })),
  },
  "jwe-tag-long": {
    about: "a tag with a byte more",
    expect: packet,
    ...jwe(ec(), (it) => flatten({ ...it, tag: Buffer.concat([it.tag, Buffer.of(0)]) })),
  },
  "jwe-tag-32-cbc": {
    about: "a tag of 32 bytes for A128CBC-HS256",
    expect: packet,
    ...jwe(ec(), (it) => flatten({ ...it, tag: Buffer.concat([it.tag, it.tag]) }), { enc: "A128CBC-HS256" }),
  },
  "jwe-tag-bit": {
    about: "a changed bit in the tag",
    expect: noKey,
    ...members((it) => ({ ...it, tag: flip(it["tag"], 15) })),
  },
  "jwe-tag-bit-cbc": {
    about: "a changed bit in the tag of CBC",
    expect: noKey,
    ...members((it) => ({ ...it, tag: flip(it["tag"], 15) }), ec(), { enc: "A128CBC-HS256" }),
  },
  "jwe-ciphertext-empty": {
    about: "an empty ciphertext",
    expect: noKey,
    ...members((it) => ({ ...it, ciphertext: "" })),
  },
  "jwe-ciphertext-missing": {
    about: "no ciphertext",
    expect: packet,
    ...members((it) => without(it, "ciphertext")),
  },
  "jwe-ciphertext-bit": {
    about: "a changed bit in the ciphertext",
    expect: noKey,
    ...members((it) => ({ ...it, ciphertext: flip(it["ciphertext"], 20) })),
  },
  "jwe-ciphertext-cut": {
    about: "a ciphertext without its last byte",
    expect: noKey,
    ...jwe(ec(), (it) => flatten({ ...it, ciphertext: it.ciphertext.subarray(0, -1) })),
  },
  "jwe-ciphertext-cut-cbc": {
    about: "a ciphertext of CBC without its last byte",
    expect: noKey,
    ...jwe(ec(), (it) => flatten({ ...it, ciphertext: it.ciphertext.subarray(0, -1) }), {
      enc: "A128CBC-HS256",
    }),
  },
  "jwe-kid": {
    about: "a kid, and keys without one",
    expect: "ok",
    ...jwe(ec("p256.pem", "ECDH-ES+A256KW", { kid: "node-1" })),
  },
  "jwe-kid-number": {
    about: "a kid that is a number",
    expect: "ok",
    ...jwe(ec("p256.pem", "ECDH-ES+A256KW", { kid: 5 })),
  },
  "jwe-kid-escape": {
    about: "a kid with a terminal's escape sequences",
    expect: "NO_KEY",
    ...jwe(ec("p256.pem", "ECDH-ES+A256KW", { kid: "\u001b[2J\nctd-decoder: error: x" })),
    keys: { "node.pem": "p256-other.pem" },
  },
  "jwe-two-recipients": {
    about: "two recipients, the second one ours",
    expect: "ok",
    ...jwe([rsa(), ec()], general),
  },
  "jwe-top-level-key": {
    about: "recipients and an encrypted_key beside them, as go-jose writes: the latter is ignored",
    expect: "ok",
    ...jwe([rsa(), ec()], (it) => general(it, { encrypted_key: "AAAA" })),
  },
  "jwe-recipients-empty": {
    about: "an empty list of recipients",
    expect: packet,
    ...jwe([ec()], (it) => general({ ...it, recipients: [] }), { flattened: false }),
  },
  "jwe-recipients-text": {
    about: "recipients that are text",
    expect: packet,
    ...members((it) => ({ ...it, recipients: "x" })),
  },
  "jwe-recipient-null": {
    about: "a recipient that is null",
    expect: packet,
    ...members((it) => ({ ...it, recipients: [null] })),
  },
  "jwe-recipient-bad-first": {
    about: "a recipient of a forbidden alg before ours",
    expect: "ok",
    ...jwe([header(rsa(), (it) => ({ ...it, alg: "RSA1_5" })), ec()], general),
  },
  "jwe-recipient-forged-first": {
    about: "a recipient for our key that does not open before the one that does",
    expect: "ok",
    ...jwe([key((it) => Buffer.from(it).reverse()), ec()], general),
  },
  "jwe-recipient-wrong-cek": {
    about: "a recipient for our key with another content key before the right one",
    expect: "ok",
    ...jwe([(_cek, dice) => ec()(dice.bytes(32), dice), ec()], general),
  },
  "jwe-20-recipients": {
    about: "twenty recipients, the last one ours",
    expect: "ok",
    ...jwe([...Array.from({ length: 19 }, () => ec("p256-other.pem")), ec()], general),
  },
  "jwe-compact": { about: "compact serialization", expect: "ok", ...jwe(ec(), compact) },
  "jwe-compact-four": {
    about: "compact serialization without its tag",
    expect: packet,
    ...jwe(ec(), (it) =>
      Buffer.from(
        compact(it)
          .toString()
          .replace(/\.[^.]*$/, ""),
      ),
    ),
  },
  "jwe-compact-six": {
    about: "compact serialization of six parts",
    expect: packet,
    ...jwe(ec(), (it) => Buffer.concat([compact(it), Buffer.from(".AAAA")])),
  },
  "jwe-compact-jws": {
    about: "a signed token",
    expect: packet,
    ...jwe(ec(), () => Buffer.from("eyJhbGciOiJub25lIn0.e30.")),
  },
  "jwe-json-truncated": {
    about: "JSON without its last brace",
    expect: packet,
    ...jwe(ec(), (it) => flatten(it).subarray(0, -1)),
  },
  "jwe-json-spaces": {
    about: "JSON with line breaks and spaces",
    expect: "ok",
    ...members((it) => Buffer.from(`\n ${JSON.stringify(it, null, 2)}\n`)),
  },
  "jwe-json-deep": {
    about: "5,000 nested lists in an unknown member",
    expect: packet,
    ...members((it) => Buffer.from(`{"x":${"[".repeat(5000)},${JSON.stringify(it).slice(1)}`)),
  },
  "jwe-json-unknown": { about: "an unknown member", expect: "ok", ...members((it) => ({ x: 1, ...it })) },
  "jwe-json-duplicate": {
    about: "an iv twice: the last one counts",
    expect: "ok",
    ...members((it) => Buffer.from(`{"iv":"AAAA",${JSON.stringify(it).slice(1)}`)),
  },
  "jwe-wrong-key": {
    about: "a key that it is not for",
    expect: noKey,
    keys: { "node.pem": "p256-other.pem" },
  },
  "jwe-wrong-key-rsa": {
    about: "an RSA key that it is not for",
    expect: noKey,
    ...jwe(rsa("RSA-OAEP", {}, "rsa2048-other.pem")),
    ...rsaKeys,
  },
};
