import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadKeys } from "../../../src/keys/load.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const LENIENT = { strictKeys: false, allowExternalSymlinks: false };

const key = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const pem = () => String(key().export({ format: "pem", type: "pkcs8" }));
const encrypted = (passphrase: string) =>
  String(key().export({ format: "pem", type: "pkcs8", cipher: "aes-128-cbc", passphrase }));
const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const text = (value: Uint8Array | null) => value && Buffer.from(value).toString();
const lists = (parameters: ReadonlyMap<string, readonly (Uint8Array | null)[]>) =>
  Object.fromEntries([...parameters].map(([name, values]) => [name, values.map(text)]));

function directory(name: string, files: Readonly<Record<string, string>>): string {
  const path = join(folder, name);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(path, file, ".."), { recursive: true });
    writeFileSync(join(path, file), content);
  }
  return path;
}

test("nothing at all", async () => {
  const keys = await loadKeys(LENIENT);
  expect(keys).toEqual({
    keys: [],
    certificates: [],
    keyrings: [],
    tokenKeys: [],
    parameters: new Map(),
    skipped: [],
    advice: expect.stringContaining("without --decryption-keys-path"),
  });
});

test("the directory's keys come first, then the payload's", async () => {
  const [a, b, c] = [pem(), pem(), pem()];
  const keysPath = directory("order", { "a.pem": a, "sub/b.pem": b });
  const payload = new Map([
    ["privkeys", [bytes(c), null, new Uint8Array()]],
    ["my.provider", [bytes("x")]],
  ]);
  const { keys, parameters, skipped } = await loadKeys({ ...LENIENT, keysPath }, payload);
  expect(keys.map(({ origin }) => origin)).toEqual(["a.pem", "sub/b.pem", "payload privkeys[0]"]);
  expect(skipped).toEqual([]);
  expect(lists(parameters)).toEqual({
    privkeys: [a, b, c, null, ""],
    "privkeys-passwords": [null, null],
    "my.provider": ["x"],
  });
});

test("the advice is what to do about the folder", async () => {
  const adviceFor = async (name: string, files: Readonly<Record<string, string>>) => {
    const keysPath = directory(name, files);
    mkdirSync(keysPath, { recursive: true });
    return (await loadKeys({ ...LENIENT, keysPath })).advice;
  };
  expect(await adviceFor("advice-0", {})).toMatch(/advice-0 is empty or can't be read/);
  expect(await adviceFor("advice-1", { "a.txt": "hello" })).toMatch(/^put this node's private key into/);
  expect(await adviceFor("advice-2", { "a.txt": "hello", "b.txt": "" })).toMatch(/^put this node's private/);
});

test("a value of the payload that is one byte long is skipped with its reason", async () => {
  const { skipped } = await loadKeys(LENIENT, new Map([["privkeys", [new Uint8Array(), bytes("x")]]]));
  expect(skipped).toEqual([{ origin: "payload privkeys[1]", reason: "not a key of a known kind" }]);
});

test("what can't be used is skipped, and stands in no parameter", async () => {
  const keysPath = directory("mixed", { "a.txt": "hello", "b.pem": pem() });
  const { keys, parameters, skipped } = await loadKeys({ ...LENIENT, keysPath });
  expect(keys).toHaveLength(1);
  expect(skipped).toEqual([{ origin: "a.txt", reason: "not a key of a known kind" }]);
  expect(parameters.get("privkeys")).toHaveLength(1);
});

test("strict: the first file that is no key is fatal", async () => {
  const keysPath = directory("mixed-strict", { "a.pem": pem(), "b.txt": "hello" });
  const strict = { ...LENIENT, strictKeys: true, keysPath };
  await expect(loadKeys(strict)).rejects.toThrow(expect.objectContaining({ code: "BAD_KEY" }));
  const dangling = directory("dangling", { "a.pem": pem() });
  symlinkSync("missing", join(dangling, "b.pem"));
  const message = "b.pem can't be used: no such file or directory";
  await expect(loadKeys({ ...strict, keysPath: dangling })).rejects.toThrow(
    expect.objectContaining({ message }),
  );
  await expect(loadKeys({ ...strict, keysPath: "/missing" })).rejects.toThrow(
    expect.objectContaining({ code: "BAD_KEY" }),
  );
});

test("encrypted keys of the directory: by a file of the same name, or by any password of the payload", async () => {
  const keysPath = directory("encrypted", {
    "a.pem": encrypted("one"),
    "sub/b.pem": encrypted("two"),
    "c.pem": encrypted("three"),
  });
  const keyPasswordsPath = directory("passwords", { "a.pem": "one\n", "sub/b.pem": "two" });
  const found = async (payload: [string, (Uint8Array<ArrayBuffer> | null)[]][], path?: string) => {
    const options = { ...LENIENT, keysPath, ...(path === undefined ? {} : { keyPasswordsPath: path }) };
    return (await loadKeys(options, new Map(payload))).keys.map(({ origin }) => origin);
  };
  expect(await found([])).toEqual([]);
  expect(await found([], keyPasswordsPath)).toEqual(["a.pem", "sub/b.pem"]);
  expect(
    await found([["privkeys-passwords", [null, bytes("three"), bytes("three")]]], keyPasswordsPath),
  ).toEqual(["a.pem", "c.pem", "sub/b.pem"]);
  expect(await found([["gpg-privatekeys-passwords", [bytes("two")]]])).toEqual(["sub/b.pem"]);
});

test("encrypted keys of the payload: by the password at the same place", async () => {
  const privkeys = [bytes(encrypted("one")), bytes(encrypted("two")), bytes(encrypted("three"))];
  const passwords = [bytes("one"), bytes("wrong"), null];
  const right = [bytes("one"), bytes("two"), bytes("three")];
  const { keys, skipped } = await loadKeys(
    LENIENT,
    new Map([
      ["privkeys", privkeys],
      ["privkeys-passwords", passwords],
    ]),
  );
  expect(keys.map(({ origin }) => origin)).toEqual(["payload privkeys[0]"]);
  expect(skipped.map(({ origin }) => origin)).toEqual(["payload privkeys[1]", "payload privkeys[2]"]);
  const all = new Map([
    ["privkeys", privkeys],
    ["privkeys-passwords", right],
  ]);
  expect((await loadKeys(LENIENT, all)).keys.map(({ origin }) => origin)).toEqual([
    "payload privkeys[0]",
    "payload privkeys[1]",
    "payload privkeys[2]",
  ]);
});

test("not more than 16 passwords of the payload are tried on a directory's key", async () => {
  const keysPath = directory("many", { "a.pem": encrypted("16"), "b.pem": encrypted("17") });
  const passwords = Array.from({ length: 20 }, (_, i) => bytes(String(i + 1)));
  const { keys } = await loadKeys({ ...LENIENT, keysPath }, new Map([["privkeys-passwords", passwords]]));
  expect(keys.map(({ origin }) => origin)).toEqual(["a.pem"]);
});

test("the payload's parameter names say nothing: what is a key is one", async () => {
  const payload = new Map([["x509s", [bytes(pem())]]]);
  expect((await loadKeys(LENIENT, payload)).keys.map(({ origin }) => origin)).toEqual(["payload x509s[0]"]);
});

test("a directory's link that leaves it is followed on demand", async () => {
  const outside = directory("outside", { "a.pem": pem() });
  const keysPath = directory("links", { ".keep": "" });
  symlinkSync(join(outside, "a.pem"), join(keysPath, "a.pem"));
  const options = { ...LENIENT, keysPath };
  expect((await loadKeys(options)).keys).toEqual([]);
  expect((await loadKeys({ ...options, allowExternalSymlinks: true })).keys).toHaveLength(1);
});

test("a passwords path that is missing is an error, even when no key is encrypted", async () => {
  const options = {
    ...LENIENT,
    keysPath: directory("plain", { "a.pem": pem() }),
    keyPasswordsPath: "/missing",
  };
  await expect(loadKeys(options)).rejects.toThrow(expect.objectContaining({ code: "BAD_KEY" }));
});
