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
