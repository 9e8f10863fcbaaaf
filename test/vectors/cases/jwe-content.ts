import { flatten, general } from "../../support/jwe.ts";
import type { Case } from "../build.ts";
import { ec, flip, header, jwe, key, members, noKey, packet, rsa, rsaKeys, without } from "./jwe-parts.ts";

/** Content, and several recipients. */
export const JWE_CONTENT: Readonly<Record<string, Case>> = {
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
