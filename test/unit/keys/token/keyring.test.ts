import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DecoderError } from "../../../../src/errors.ts";
import type { KeySet } from "../../../../src/keys/keyset.ts";
import { TokenKeyring } from "../../../../src/keys/token/keyring.ts";
import { Secret } from "../../../../src/secret.ts";
import { keySet } from "../../../support/jwe.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const MODULES = ["one.so", "two.so"].map((name) => join(folder, name));
for (const path of MODULES) writeFileSync(path, "");
const [ONE = "", TWO = ""] = MODULES;
const CONFIG = join(folder, "ocicrypt.conf");
writeFileSync(CONFIG, `pkcs11: {module-directories: [${folder}], allowed-module-paths: [${ONE}, ${TWO}]}\n`);

const SETTINGS = { environment: { OCICRYPT_CONFIG: CONFIG }, providerTimeoutMs: 1000, verbose: false };

/** A key file. @param module its library */
const keyFile = (origin: string, module: string, env: string = "{}") => {
  const yaml = `pkcs11: {uri: "pkcs11:object=k?module-path=${module}"}\nmodule: {env: ${env}}\n`;
  return { origin, yaml: new Secret(new TextEncoder().encode(yaml)) };
};

function keyring(...tokenKeys: KeySet["tokenKeys"]): TokenKeyring {
  return TokenKeyring.of({ keys: { ...keySet(), tokenKeys }, settings: SETTINGS });
}

const originsOf = (ring: TokenKeyring) => ring.byModule().map((group) => group.map(({ origin }) => origin));

function recorded(ring: TokenKeyring) {
  const attempts: unknown[] = [];
  ring.reportRefusals({ record: (attempt) => attempts.push(attempt) });
  return attempts;
}

test("keys of one module and environment share a process", () => {
  const ring = keyring(
    keyFile("a", ONE, "{B: '1', A: '2'}"),
    keyFile("b", TWO),
    keyFile("c", ONE, "{A: '2', B: '1'}"),
    keyFile("d", ONE, "{A: '3', B: '1'}"),
  );
  expect(originsOf(ring)).toEqual([["a", "c"], ["b"], ["d"]]);
});

test("a refused key is not tried again, and is named beside those that do not fit", () => {
  const ring = keyring(keyFile("a", ONE), keyFile("b", ONE), keyFile("c", "/none.so"));
  expect(originsOf(ring)).toEqual([["a", "b"]]);
  ring.refuse([{ origin: "a" }], new DecoderError("PKCS11", "it crashed", { hint: "mend it" }));
  expect(originsOf(ring)).toEqual([["b"]]);
  expect(recorded(ring)).toEqual([
    expect.objectContaining({ key: "c", outcome: expect.stringContaining("/none.so") }),
    { key: "a", outcome: "it crashed", hint: "mend it" },
  ]);
});

test("a spent budget and a defect end the search for all keys", () => {
  const ring = keyring(keyFile("a", ONE));
  const spent = new DecoderError("LIMIT", "too long");
  expect(() => ring.refuse([{ origin: "a" }], spent)).toThrow(spent);
  const defect = new TypeError("a defect");
  expect(() => ring.refuse([{ origin: "a" }], defect)).toThrow(defect);
  expect(originsOf(ring)).toEqual([["a"]]);
});

test.each([
  [1, ""],
  [8, ""],
  [9, "; and 1 more"],
  [11, "; and 3 more"],
])("when all %i keys were refused, up to eight are named", (count, more) => {
  const origins = Array.from({ length: count }, (_, i) => `key-${i}`);
  const ring = keyring(...origins.map((origin) => keyFile(origin, ONE)));
  const [first = "", ...others] = origins;
  ring.refuse([{ origin: first }], new DecoderError("PKCS11", "no token"));
  for (const [i, origin] of others.entries())
    ring.refuse([{ origin }], new DecoderError("PKCS11", "no token", { hint: `hint ${i}` }));
  const named = origins.slice(0, 8).map((origin) => `${origin}: no token`);
  expect(() => recorded(ring)).toThrow(
    expect.objectContaining({
      code: "PKCS11",
      message: `no key on a PKCS#11 token could be used: ${named.join("; ")}${more}`,
      hint: count === 1 ? undefined : "hint 0",
    }),
  );
});

test("a set of keys has one keyring, whoever asks", () => {
  const of = (keys: KeySet) => TokenKeyring.of({ keys, settings: SETTINGS });
  const keys = { ...keySet(), tokenKeys: [keyFile("a", ONE)] };
  expect(of(keys)).toBe(of(keys));
  expect(of({ ...keys })).not.toBe(of(keys));
});

test("work runs one after the other, also after one that failed", async () => {
  const ring = keyring(keyFile("a", ONE));
  const steps: string[] = [];
  const work = (name: string, fails = false) =>
    ring.exclusively(async () => {
      steps.push(`${name} begins`);
      await null;
      steps.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });
  const results = await Promise.allSettled([work("first", true), work("second")]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  expect(steps).toEqual(["first begins", "first ends", "second begins", "second ends"]);
});
