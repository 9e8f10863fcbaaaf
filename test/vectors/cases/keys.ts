import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Case } from "../build.ts";
import { KEYS, privateKey, publicKey } from "../material.ts";

const file = (name: string) => readFileSync(join(KEYS, name));
const pem = file("p256.pem").toString();
const jwk = privateKey("p256.pem").export({ format: "jwk" });
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const noKey = "NO_KEY";
const strict = ["--strict-keys"];

export const KEYS_CASES: Readonly<Record<string, Case>> = {
  "keys-none": { about: "an empty keys directory", expect: noKey, keys: {} },
  "keys-sec1-pem": {
    about: "a PEM block EC PRIVATE KEY",
    expect: "ok",
    keys: { k: Buffer.from(privateKey("p256.pem").export({ type: "sec1", format: "pem" })) },
  },
  "keys-sec1-der": {
    about: "SEC 1 DER",
    expect: "ok",
    keys: { k: privateKey("p256.pem").export({ type: "sec1", format: "der" }) },
  },
  "keys-pkcs8-der": {
    about: "PKCS#8 DER",
    expect: "ok",
    keys: { k: privateKey("p256.pem").export({ type: "pkcs8", format: "der" }) },
  },
  "keys-jwk": { about: "a JWK", expect: "ok", keys: { k: json(jwk) } },
  "keys-jwk-set": {
    about: "a JWK set, the second one ours",
    expect: "ok",
    keys: { k: json({ keys: [{ kty: "oct", k: "AAAA" }, jwk] }) },
  },
  "keys-jwk-use-sig": {
    about: "a JWK for signing",
    expect: noKey,
    keys: { k: json({ ...jwk, use: "sig" }) },
  },
  "keys-jwk-public": {
    about: "a public JWK",
    expect: noKey,
    keys: { k: json(publicKey("p256.pem").export({ format: "jwk" })) },
  },
  "keys-jwk-off-curve": {
    about: "a JWK whose point is not on the curve",
    expect: noKey,
    keys: { k: json({ ...jwk, x: "A".repeat(43) }) },
  },
  "keys-jwk-truncated": {
    about: "a JWK that ends early",
    expect: noKey,
    keys: { k: json(jwk).subarray(0, -5) },
  },
  "keys-crlf": {
    about: "PEM with Windows' line ends",
    expect: "ok",
    keys: { k: Buffer.from(pem.replaceAll("\n", "\r\n")) },
  },
  "keys-bom": {
    about: "PEM after a byte order mark",
    expect: "ok",
    keys: { k: Buffer.from(`\ufeff${pem}`) },
  },
  "keys-text-around": {
    about: "PEM with text around it",
    expect: "ok",
    keys: { k: Buffer.from(`my key:\n${pem}bye\n`) },
  },
  "keys-pem-cut": {
    about: "PEM without its end line",
    expect: noKey,
    keys: { k: Buffer.from(pem.slice(0, -10)) },
  },
  "keys-pem-not-base64": {
    about: "PEM with a character that is no base64",
    expect: noKey,
    keys: { k: Buffer.from(pem.replace(/\n(.)/, "\n!")) },
  },
  "keys-der-truncated": {
    about: "DER that ends early",
    expect: noKey,
    keys: { k: privateKey("p256.pem").export({ type: "pkcs8", format: "der" }).subarray(0, -1) },
  },
  "keys-der-trailing": {
    about: "DER with a byte behind it",
    expect: noKey,
    keys: {
      k: Buffer.concat([privateKey("p256.pem").export({ type: "pkcs8", format: "der" }), Buffer.of(0)]),
    },
  },
  "keys-second-block": {
    about: "two keys in one file, the second one ours",
    expect: "ok",
    keys: { k: Buffer.concat([file("p256-other.pem"), file("p256.pem")]) },
  },
  "keys-empty-file": {
    about: "an empty file beside the key",
    expect: "ok",
    keys: { empty: Buffer.alloc(0), "node.pem": "p256.pem" },
  },
  "keys-readme": {
    about: "a text file beside the key",
    expect: "ok",
    keys: { README: Buffer.from("Keys of node 1\n"), "node.pem": "p256.pem" },
  },
  "keys-readme-strict": {
    about: "a text file beside the key with --strict-keys",
    expect: "BAD_KEY",
    args: strict,
    keys: { README: Buffer.from("Keys of node 1\n"), "node.pem": "p256.pem" },
  },
  "keys-public-beside": {
    about: "a public key beside the private one",
    expect: "ok",
    keys: {
      "a.pub": Buffer.from(publicKey("p256.pem").export({ type: "spki", format: "pem" })),
      "node.pem": "p256.pem",
    },
  },
  "keys-public-strict": {
    about: "a public key beside the private one with --strict-keys",
    expect: "BAD_KEY",
    args: strict,
    keys: {
      "a.pub": Buffer.from(publicKey("p256.pem").export({ type: "spki", format: "pem" })),
      "node.pem": "p256.pem",
    },
  },
  "keys-garbage-beside": {
    about: "random bytes beside the key",
    expect: "ok",
    keys: { a: Buffer.from("30820122deadbeef00ff", "hex"), "node.pem": "p256.pem" },
  },
  "keys-encrypted-no-password": {
    about: "an encrypted key without a password",
    expect: noKey,
    keys: { k: "p256-encrypted.pem" },
  },
  "keys-encrypted-beside": {
    about: "an encrypted key beside the right one",
    expect: "ok",
    keys: { a: "p256-encrypted.pem", "node.pem": "p256.pem" },
  },
  "keys-encrypted-payload": {
    about: "an encrypted key in the payload with its password",
    expect: "ok",
    keys: {},
    payload: (it) => ({
      ...it,
      DecryptConfig: {
        Parameters: {
          privkeys: [file("p256-encrypted.pem").toString("base64")],
          "privkeys-passwords": [Buffer.from("password").toString("base64")],
        },
      },
    }),
  },
  "keys-encrypted-payload-wrong": {
    about: "an encrypted key in the payload with another password",
    expect: noKey,
    keys: {},
    payload: (it) => ({
      ...it,
      DecryptConfig: {
        Parameters: {
          privkeys: [file("p256-encrypted.pem").toString("base64")],
          "privkeys-passwords": [Buffer.from("hunter2").toString("base64")],
        },
      },
    }),
  },
  "keys-payload": {
    about: "the key in the payload alone",
    expect: "ok",
    keys: {},
    payload: (it) => ({
      ...it,
      DecryptConfig: { Parameters: { privkeys: [file("p256.pem").toString("base64")] } },
    }),
  },
  "keys-nested": { about: "a key in folders", expect: "ok", keys: { "a/b/c/node.pem": "p256.pem" } },
  "keys-nested-16": {
    about: "a key 16 folders deep",
    expect: "ok",
    keys: { [`${"d/".repeat(16)}node.pem`]: "p256.pem" },
  },
  "keys-nested-17": {
    about: "a key deeper than is looked",
    expect: noKey,
    keys: { [`${"d/".repeat(17)}node.pem`]: "p256.pem" },
  },
  "keys-secret-mount": {
    about: "a Kubernetes Secret mount: links through ..data",
    expect: "ok",
    keys: { "..2026_01_01/node.pem": "p256.pem" },
    links: { "..data": "..2026_01_01", "node.pem": "..data/node.pem" },
  },
  "keys-link-loop": {
    about: "links that go round in a circle, beside the key",
    expect: "ok",
    keys: { "node.pem": "p256.pem" },
    links: { a: "b", b: "a", here: "." },
  },
  "keys-link-dangling": {
    about: "a link to nothing, beside the key",
    expect: "ok",
    keys: { "node.pem": "p256.pem" },
    links: { a: "missing" },
  },
  "keys-link-outside": {
    about: "a link that leaves the directory",
    expect: "ok",
    keys: { "node.pem": "p256.pem" },
    links: { passwd: "/etc/passwd" },
  },
  "keys-link-outside-strict": {
    about: "a link that leaves the directory with --strict-keys",
    expect: "BAD_KEY",
    args: strict,
    keys: { "node.pem": "p256.pem" },
    links: { passwd: "/etc/passwd" },
  },
  "keys-rsa1024": { about: "an RSA key of 1024 bits is not used", expect: noKey, keys: { k: "rsa1024.pem" } },
  "keys-ed25519": { about: "a key for signing", expect: noKey, keys: { k: "ed25519.pem" } },
  "keys-ed25519-beside": {
    about: "a key for signing beside the right one",
    expect: "ok",
    keys: { a: "ed25519.pem", "node.pem": "p256.pem" },
  },
  "keys-secp256k1": {
    about: "a key on a curve that JOSE has not here",
    expect: noKey,
    keys: { k: "secp256k1.pem" },
  },
  "keys-wrong-before-right": {
    about: "ten other keys before the right one",
    expect: "ok",
    keys: {
      ...Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`${i}.pem`, "p256-other.pem"])),
      "node.pem": "p256.pem",
    },
  },
};
