/**
 * Writes the vectors anew: `npm run vectors`. Their keys stay as they are (those that are missing are made), and
 * everything random comes from seeds, so that only vectors whose description changed come out different.
 */
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateKey } from "openpgp";
import { holder } from "../unit/keywrap/pkcs7/packets.ts";
import { writeVector } from "./format.ts";
import { KEYS, privateKey } from "./material.ts";

mkdirSync(KEYS, { recursive: true });
const save = (name: string, make: () => string | Uint8Array) => {
  if (!existsSync(join(KEYS, name))) writeFileSync(join(KEYS, name), make());
};
const pkcs8 = { type: "pkcs8", format: "pem" } as const;
for (const [name, namedCurve] of [
  ["p256", "P-256"],
  ["p256-other", "P-256"],
  ["p384", "P-384"],
  ["p521", "P-521"],
  ["secp256k1", "secp256k1"],
] as const)
  save(`${name}.pem`, () => generateKeyPairSync("ec", { namedCurve }).privateKey.export(pkcs8));
for (const [name, modulusLength] of [
  ["rsa2048", 2048],
  ["rsa2048-other", 2048],
  ["rsa1024", 1024],
] as const)
  save(`${name}.pem`, () => generateKeyPairSync("rsa", { modulusLength }).privateKey.export(pkcs8));
save("ed25519.pem", () => generateKeyPairSync("ed25519").privateKey.export(pkcs8));
save("p256-encrypted.pem", () =>
  privateKey("p256.pem").export({ ...pkcs8, cipher: "aes-256-cbc", passphrase: "password" }),
);
save("rsa2048.crt", () => {
  const key = privateKey("rsa2048.pem");
  const { der } = holder({ privateKey: key, publicKey: createPublicKey(key) }).certificate;
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString("base64")
    .replace(/(.{64})/g, "$1\n")}\n-----END CERTIFICATE-----\n`;
});
const userIDs = [{ name: "node" }];
if (!existsSync(join(KEYS, "rsa2048.gpg"))) {
  const { privateKey: ring } = await generateKey({ type: "rsa", rsaBits: 2048, userIDs, format: "binary" });
  save("rsa2048.gpg", () => ring);
}

// The cases read the keys when they are loaded.
const { CASES } = await import("./cases/all.ts");
const { build } = await import("./build.ts");
const folder = join(import.meta.dirname, "data/vectors");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const [name, it] of CASES) writeFileSync(join(folder, name), writeVector(build(name, it)));
process.stdout.write(`${CASES.size} vectors\n`);
