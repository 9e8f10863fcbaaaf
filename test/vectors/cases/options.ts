import type { Case, Json } from "../build.ts";
import { b64 } from "../material.ts";

const bad = "BAD_OPTIONS";
const without = (it: Json, name: string) =>
  Object.fromEntries(Object.entries(it).filter(([key]) => key !== name));
const bytes = (length: number) => b64(Buffer.alloc(length, 7));
const nonceOf = (it: Json) => (it["cipheroptions"] as Json)["nonce"] as string;
const nonce = (value: unknown) => (it: Json) => ({ ...it, cipheroptions: { nonce: value } });
/** The nonce in the public options, and none in the private ones. */
let shared = "";

export const OPTIONS_CASES: Readonly<Record<string, Case>> = {
  "cipher-unknown": {
    about: "a cipher that there is not",
    expect: bad,
    publicOptions: (it) => ({ ...it, cipher: "AES_256_GCM" }),
  },
  "cipher-missing": { about: "no cipher", expect: bad, publicOptions: (it) => without(it, "cipher") },
  "cipher-empty": { about: "an empty cipher", expect: bad, publicOptions: (it) => ({ ...it, cipher: "" }) },
  "cipher-case": {
    about: "the cipher in small letters",
    expect: bad,
    publicOptions: (it) => ({ ...it, cipher: "aes_256_ctr_hmac_sha256" }),
  },
  "cipher-null": { about: "a cipher of null", expect: bad, publicOptions: (it) => ({ ...it, cipher: null }) },
  "hmac-missing": { about: "no HMAC", expect: bad, publicOptions: (it) => without(it, "hmac") },
  "hmac-null": { about: "an HMAC of null", expect: bad, publicOptions: (it) => ({ ...it, hmac: null }) },
  "hmac-empty": { about: "an empty HMAC", expect: bad, publicOptions: (it) => ({ ...it, hmac: "" }) },
  "hmac-short": {
    about: "an HMAC of 31 bytes, the first of the right one",
    expect: bad,
    publicOptions: (it) => ({ ...it, hmac: b64(Buffer.from(String(it["hmac"]), "base64").subarray(0, 31)) }),
  },
  "hmac-long": {
    about: "an HMAC with a byte more",
    expect: bad,
    publicOptions: (it) => ({
      ...it,
      hmac: b64(Buffer.concat([Buffer.from(String(it["hmac"]), "base64"), Buffer.of(0)])),
    }),
  },
  "hmac-hex": {
    about: "the HMAC in hex",
    expect: bad,
    publicOptions: (it) => ({ ...it, hmac: Buffer.from(String(it["hmac"]), "base64").toString("hex") }),
  },
  "hmac-number": {
    about: "an HMAC that is a number",
    expect: bad,
    publicOptions: (it) => ({ ...it, hmac: 1 }),
  },
  "hmac-zero": {
    about: "an HMAC of zeros",
    expect: "AUTHENTICATION",
    publicOptions: (it) => ({ ...it, hmac: b64(Buffer.alloc(32)) }),
  },
  "hmac-bit": {
    about: "an HMAC with its last bit changed",
    expect: "AUTHENTICATION",
    publicOptions: (it) => ({ ...it, hmac: changed(String(it["hmac"]), 31) }),
  },
  "hmac-first-bit": {
    about: "an HMAC with its first bit changed",
    expect: "AUTHENTICATION",
    publicOptions: (it) => ({ ...it, hmac: changed(String(it["hmac"]), 0) }),
  },
  "hmac-twice": {
    about: "an HMAC twice: the last one counts",
    expect: "AUTHENTICATION",
    publicOptions: (it) => b64(JSON.stringify(it).replace("}}", `},"HMAC":"${bytes(32)}"}`)),
  },
  "public-cipheroptions-missing": {
    about: "no public cipheroptions",
    expect: "ok",
    publicOptions: (it) => without(it, "cipheroptions"),
  },
  "public-cipheroptions-list": {
    about: "public cipheroptions that are a list",
    expect: bad,
    publicOptions: (it) => ({ ...it, cipheroptions: [] }),
  },
  "public-cipheroptions-text": {
    about: "public cipheroptions that are text",
    expect: bad,
    publicOptions: (it) => ({ ...it, cipheroptions: "" }),
  },
  "public-unknown": {
    about: "unknown public options",
    expect: "ok",
    publicOptions: (it) => ({ x: 1, ...it }),
  },
  "nonce-public-differs": {
    about: "a public nonce that differs from the wrapped one, which Go would use",
    expect: bad,
    publicOptions: nonce(bytes(16)),
  },
  "nonce-public-short": {
    about: "a public nonce of 12 bytes, at which Go panics",
    expect: bad,
    publicOptions: nonce(bytes(12)),
  },
  "nonce-public-empty": { about: "an empty public nonce", expect: bad, publicOptions: nonce("") },
  "nonce-public-null": { about: "a public nonce of null is none", expect: "ok", publicOptions: nonce(null) },
  "nonce-public-same": {
    about: "the same nonce in both places",
    expect: "ok",
    privateOptions: (it) => {
      shared = nonceOf(it);
      return it;
    },
    publicOptions: (it) => nonce(shared)(it),
  },
  "nonce-public-alone": {
    about: "the nonce in the public options alone",
    expect: "ok",
    privateOptions: (it) => {
      shared = nonceOf(it);
      return { ...it, cipheroptions: {} };
    },
    publicOptions: (it) => nonce(shared)(it),
  },
  "nonce-name-case": {
    about: "the nonce's name in another case: it is a map's, where the case counts",
    expect: bad,
    privateOptions: (it) => ({ ...it, cipheroptions: { Nonce: nonceOf(it) } }),
  },
  "nonce-missing": {
    about: "no nonce at all, at which Go takes a random one",
    expect: bad,
    privateOptions: (it) => ({ ...it, cipheroptions: {} }),
  },
  "nonce-cipheroptions-missing": {
    about: "no cipheroptions",
    expect: bad,
    privateOptions: (it) => without(it, "cipheroptions"),
  },
  "nonce-null": { about: "a nonce of null", expect: bad, privateOptions: nonce(null) },
  "nonce-empty": { about: "an empty nonce", expect: bad, privateOptions: nonce("") },
  "nonce-15": { about: "a nonce of 15 bytes", expect: bad, privateOptions: nonce(bytes(15)) },
  "nonce-17": { about: "a nonce of 17 bytes", expect: bad, privateOptions: nonce(bytes(17)) },
  "nonce-not-base64": { about: "a nonce that is no base64", expect: bad, privateOptions: nonce("!") },
  "symkey-missing": { about: "no symkey", expect: bad, privateOptions: (it) => without(it, "symkey") },
  "symkey-empty": { about: "an empty symkey", expect: bad, privateOptions: (it) => ({ ...it, symkey: "" }) },
  "symkey-16": {
    about: "a symkey of 16 bytes",
    expect: bad,
    privateOptions: (it) => ({ ...it, symkey: bytes(16) }),
  },
  "symkey-31": {
    about: "a symkey of 31 bytes",
    expect: bad,
    privateOptions: (it) => ({ ...it, symkey: bytes(31) }),
  },
  "symkey-33": {
    about: "a symkey of 33 bytes",
    expect: bad,
    privateOptions: (it) => ({ ...it, symkey: bytes(33) }),
  },
  "symkey-64": {
    about: "a symkey of 64 bytes",
    expect: bad,
    privateOptions: (it) => ({ ...it, symkey: bytes(64) }),
  },
  "symkey-not-base64": {
    about: "a symkey that is no base64",
    expect: bad,
    privateOptions: (it) => ({ ...it, symkey: "hunter2!" }),
  },
  "symkey-number": {
    about: "a symkey that is a number",
    expect: bad,
    privateOptions: (it) => ({ ...it, symkey: 5 }),
  },
  "symkey-other": {
    about: "the symkey of another layer",
    expect: "AUTHENTICATION",
    privateOptions: (it) => ({ ...it, symkey: bytes(32) }),
  },
  "private-not-json": {
    about: "private options that are no JSON",
    expect: bad,
    privateOptions: () => Buffer.from("hunter2"),
  },
  "private-empty": {
    about: "private options of no bytes",
    expect: bad,
    privateOptions: () => Buffer.alloc(0),
  },
  "private-list": { about: "private options that are a list", expect: bad, privateOptions: (it) => [it] },
  "private-null": {
    about: "private options of null",
    expect: bad,
    privateOptions: () => Buffer.from("null"),
  },
  "private-case-varied": {
    about: "private options with names in other cases",
    expect: "ok",
    privateOptions: (it) => ({ SymKey: it["symkey"], CIPHEROPTIONS: it["cipheroptions"] }),
  },
  "private-digest-wrong": {
    about: "a wrapped digest that is not the layer's: writers differ in what they put there",
    expect: "ok",
    privateOptions: (it) => ({ ...it, digest: `sha256:${"0".repeat(64)}` }),
  },
  "private-digest-number": {
    about: "a wrapped digest that is a number",
    expect: "ok",
    privateOptions: (it) => ({ ...it, digest: 5 }),
  },
};

function changed(base64: string, at: number): string {
  const copy = Buffer.from(base64, "base64");
  copy[at] = (copy[at] ?? 0) ^ (at === 0 ? 0x80 : 1);
  return b64(copy);
}
