import { flatten, type JweParts } from "../../support/jwe.ts";
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

export const packet = "BAD_PACKET";
export const noKey = "NO_KEY";
export type Wrap = (cek: Buffer, dice: Dice) => Wrapped;

export const ec =
  (key = "p256.pem", alg = "ECDH-ES+A256KW", header: Json = {}): Wrap =>
  (cek, dice) =>
    wrapEcdh(publicKey(key), alg, cek, dice, header);
export const rsa =
  (alg: "RSA-OAEP" | "RSA-OAEP-256" = "RSA-OAEP", header: Json = {}, key = "rsa2048.pem"): Wrap =>
  (cek, dice) =>
    wrapOaep(publicKey(key), alg, cek, dice, header);
/** A recipient whose header or key is changed after it was made. */
export const changed =
  (wrap: Wrap, change: (it: Wrapped) => Wrapped): Wrap =>
  (cek, dice) =>
    change(wrap(cek, dice));
export const header = (wrap: Wrap, change: (it: Json) => Json): Wrap =>
  changed(wrap, (it) => ({ ...it, header: change({ ...it.header }) }));
export const epk = (change: (it: Json) => unknown): Wrap =>
  header(ec(), (it) => ({ ...it, epk: change({ ...(it["epk"] as Json) }) }));
export const key = (change: (it: Buffer) => Buffer, wrap = ec()): Wrap =>
  changed(wrap, (it) => ({ ...it, encryptedKey: change(it.encryptedKey) }));

/** A JWE of these recipients, changed at last. */
export const jwe = (
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
export const members = (change: (it: Json) => unknown, wrap: Wrap = ec(), spec: Partial<JweSpec> = {}) =>
  jwe(
    wrap,
    (it) => {
      const json = change(JSON.parse(flatten(it).toString()));
      return Buffer.isBuffer(json) ? json : Buffer.from(JSON.stringify(json));
    },
    spec,
  );
export const without = (it: Json, name: string) =>
  Object.fromEntries(Object.entries(it).filter(([key]) => key !== name));
export const alg = (value: unknown) => jwe(header(ec(), (it) => ({ ...it, alg: value })));
export const rsaKeys = { keys: { "node.pem": "rsa2048.pem" } };
export const flip = (text: unknown, at: number) => {
  const bytes = Buffer.from(String(text), "base64url");
  const i = at < 0 ? bytes.length + at : at;
  bytes[i] = (bytes[i] ?? 0) ^ 1;
  return b64u(bytes);
};
/** secp256k1's generator (SEC 2 §2.4.1). */
export const SECP256K1 = {
  x: b64u(Buffer.from("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "hex")),
  y: b64u(Buffer.from("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8", "hex")),
};
