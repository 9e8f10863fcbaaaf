import { expect, test } from "vitest";
import type { TokenModule } from "../../../../src/keys/token/module.ts";
import type { Token } from "../../../../src/keys/token/module-protocol.ts";
import { openKey, type TokenKey } from "../../../../src/keys/token/token-key.ts";
import { parsePkcs11Uri } from "../../../../src/keys/token/uri.ts";

const TOKEN: Token = {
  slotId: 1,
  label: "hsm",
  serial: "s",
  manufacturer: "m",
  model: "o",
  loginRequired: true,
  pinLocked: false,
  pinFinalTry: false,
};

/** The slot of the key that is opened. @param logins gets the slots of all logins */
async function open(uri: string, tokens: readonly Token[], logins: number[] = []): Promise<number> {
  const module = {
    tokens: async () => tokens,
    isLoggedIn: () => false,
    login: async (slotId: number) => {
      logins.push(slotId);
      return null;
    },
    findKey: async () => ({ handles: ["1"], modulus: "", publicExponent: "" }),
  };
  const key = { origin: "key.yaml", pin: "1234", uri: parsePkcs11Uri(uri) } as unknown as TokenKey;
  return (await openKey(module as unknown as TokenModule, key, "private", new Set())).slotId;
}

test.each([
  ["slot-id=1", { slotId: 2 }],
  ["token=hsm", { label: "other" }],
  ["serial=s", { serial: "other" }],
  ["manufacturer=m", { manufacturer: "other" }],
  ["model=o", { model: "other" }],
])("%s chooses one of two tokens, and only it gets the PIN", async (selector, different) => {
  const another = { ...TOKEN, slotId: 2, ...different };
  const logins: number[] = [];
  expect(await open(`pkcs11:${selector}`, [another, TOKEN], logins)).toBe(1);
  expect(logins).toEqual([1]);
  await expect(open("pkcs11:", [another, TOKEN], logins)).rejects.toThrow(/is not the only match/);
  await expect(open(`pkcs11:${selector}`, [another], logins)).rejects.toThrow(/has no token/);
  expect(logins).toEqual([1]);
});

test.each([
  ["has locked its PIN", { pinLocked: true }],
  ["would be locked by one more wrong PIN", { pinFinalTry: true }],
])("no PIN is tried on a token that %s", async (why, state) => {
  const logins: number[] = [];
  await expect(open("pkcs11:token=hsm", [{ ...TOKEN, ...state }], logins)).rejects.toThrow(why);
  expect(logins).toEqual([]);
});

/** A module with one token and these handles. @param refusals of its logins, in order */
function moduleOf(handles: readonly string[], refusals: readonly (string | null)[] = [], isLoggedIn = false) {
  const calls: unknown[] = [];
  const answers = [...refusals];
  const module = {
    tokens: async () => [TOKEN],
    isLoggedIn: () => isLoggedIn,
    login: async (slotId: number, pin: string) => {
      calls.push(["login", slotId, pin]);
      const refused = answers.shift() ?? null;
      return refused === null ? null : { refused };
    },
    findKey: async (slotId: number, selector: object) => {
      calls.push(["find", slotId, selector]);
      return { handles, modulus: "m", publicExponent: "e" };
    },
  };
  return { calls, module: module as unknown as TokenModule };
}

const keyOf = (uri: string, pin?: string) =>
  ({ origin: "key.yaml", pin, uri: parsePkcs11Uri(uri) }) as unknown as TokenKey;

test("a key is found by its name and ID, after one login", async () => {
  const { module, calls } = moduleOf(["7"]);
  expect(await openKey(module, keyOf("pkcs11:object=a;id=%01", "1234"), "private", new Set())).toEqual({
    ...{ name: 'key.yaml (token "hsm")', slotId: 1, handle: "7", modulus: "m", publicExponent: "e" },
  });
  expect(calls).toEqual([
    ["login", 1, "1234"],
    ["find", 1, { class: "private", label: "a", id: "AQ==" }],
  ]);
  for (const [key, isLoggedIn] of [
    [keyOf("pkcs11:"), false],
    [keyOf("pkcs11:", ""), false],
    [keyOf("pkcs11:", "1234"), true],
  ] as const) {
    const other = moduleOf(["7"], [], isLoggedIn);
    await openKey(other.module, key, "public", new Set());
    expect(other.calls).toEqual([["find", 1, { class: "public", label: undefined, id: undefined }]]);
  }
});

test.each([
  [
    [],
    undefined,
    'the token "hsm" has no private RSA key that matches the URI, or hides it: the URI has neither',
  ],
  [[], "1234", /^the token "hsm" has no private RSA key that matches the URI$/],
  [["1", "2"], "1234", 'the token "hsm" has several private RSA keys that match the URI: add object or id'],
])("the keys %j are not one", async (handles, pin, message) => {
  await expect(
    openKey(moduleOf(handles).module, keyOf("pkcs11:", pin), "private", new Set()),
  ).rejects.toThrow(message);
});

test("a key that a token without logins does not have is not hidden", async () => {
  const { module } = moduleOf([]);
  const open = {
    ...module,
    tokens: async () => [{ ...TOKEN, loginRequired: false }],
  } as unknown as TokenModule;
  await expect(openKey(open, keyOf("pkcs11:"), "private", new Set())).rejects.toThrow(
    /^the token "hsm" has no private RSA key that matches the URI$/,
  );
});

test("a PIN that a token has refused is not tried again", async () => {
  const { module, calls } = moduleOf(["1"], ["CKR_PIN_INCORRECT"]);
  const refused = new Set<string>();
  const open = (pin: string) => openKey(module, keyOf("pkcs11:", pin), "private", refused);
  await expect(open("1234")).rejects.toThrow('the token "hsm" refused the login: CKR_PIN_INCORRECT');
  await expect(open("1234")).rejects.toThrow('the token "hsm" has refused this PIN before');
  expect(calls).toEqual([["login", 1, "1234"]]);
  expect(await open("5678")).toMatchObject({ handle: "1" });
});

test("a token that is missing is named, with how many there are", async () => {
  const open = (uri: string) => openKey(moduleOf(["1"]).module, keyOf(uri), "private", new Set());
  await expect(open("pkcs11:token=x")).rejects.toThrow(
    'the module has no token "x" that matches the URI, of 1 in its slots',
  );
  await expect(open("pkcs11:serial=x")).rejects.toThrow(
    "the module has no token that matches the URI, of 1 in",
  );
});
