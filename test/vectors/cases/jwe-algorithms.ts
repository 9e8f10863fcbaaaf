import { flatten, general } from "../../support/jwe.ts";
import type { Case } from "../build.ts";
import { alg, ec, header, jwe, members, noKey, packet, rsa, rsaKeys, without } from "./jwe-parts.ts";

/** Algorithms: what is allowed, and what is refused before any cryptography. */
export const JWE_ALGORITHMS: Readonly<Record<string, Case>> = {
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
};
