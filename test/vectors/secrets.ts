import { createHmac, createPrivateKey } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../fuzz/random.ts";
import { seedOf } from "./build.ts";
import type { Vector } from "./format.ts";
import { KEYS } from "./material.ts";

/** Of a longer secret, a piece of this length that is shown would be noticed. */
const PIECE_BYTES = 24;

/** Passwords that keys and payloads of the vectors hold. */
const PASSWORDS = [
  "hunter2",
  "hunter2!",
  Buffer.from("hunter2").toString("base64"),
  Buffer.from("password").toString("base64"),
];

/** What nothing but stdout may show of a vector, in all usual notations. */
export function secretTexts(name: string, vector: Vector): [what: string, text: string][] {
  // The layer's key is the first that its builder takes from the dice.
  const layerKey = new Random(seedOf(name)).bytes(32);
  const mac = createHmac("sha256", layerKey).update(vector.layer).digest();
  return [
    ...PASSWORDS.map((text) => ["a password", text] as [string, string]),
    ...notations("the layer's key", layerKey),
    ...notations("the computed MAC", mac),
    ...KEY_PIECES,
  ];
}

function notations(what: string, bytes: Buffer): [string, string][] {
  const texts = [
    bytes.toString("hex"),
    bytes.toString("base64").replace(/=+$/, ""),
    bytes.toString("base64url"),
    [...bytes].join(","),
  ];
  return texts.map((text) => [what, text]);
}

/** The private numbers of every key, and the lines of the files. */
const KEY_PIECES: readonly [string, string][] = readdirSync(KEYS).flatMap((name) => {
  const file = readFileSync(join(KEYS, name));
  if (!name.endsWith(".pem")) return notations(name, file.subarray(-200, -200 + PIECE_BYTES));
  const lines = file
    .toString()
    .split("\n")
    .slice(1, -2)
    .map((line) => [name, line] as [string, string]);
  return [...lines, ...privateNumbers(name, file)];
});

function privateNumbers(name: string, pem: Buffer): [string, string][] {
  if (name.includes("encrypted")) return [];
  const jwk = createPrivateKey(pem).export({ format: "jwk" });
  return [jwk.d, jwk.p, jwk.q].flatMap((number) =>
    number === undefined ? [] : notations(name, Buffer.from(number, "base64url").subarray(0, PIECE_BYTES)),
  );
}
