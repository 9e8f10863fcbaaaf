import { armor, enums } from "openpgp";
import { describe, expect, test } from "vitest";
import { unarmour } from "../../../src/encoding/armour.ts";
import { bytes } from "../keywrap/pgp/messages.ts";

const content = bytes([0x95, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
const text = (armoured: string) => bytes(Buffer.from(armoured));
const secret = armor(enums.armor.privateKey, content);

describe("a keyring's packets", () => {
  test("binary ones are taken as they are", () => expect(unarmour(content)).toEqual(content));
  test("secret keys in armour", () => expect(unarmour(text(secret))).toEqual(content));
  test("public keys in armour", () =>
    expect(unarmour(text(armor(enums.armor.publicKey, content)))).toEqual(content));
  test("several blocks, with text around them, are joined", () =>
    expect(unarmour(text(`first:\n${secret}\nsecond:\n${secret}end\n`))).toEqual(bytes(content, content)));
  test("Windows' line ends and spaces at the ends of lines", () =>
    expect(unarmour(text(secret.replaceAll("\n", " \r\n")))).toEqual(content));
  test("headers", () =>
    expect(unarmour(text(secret.replace("\n", "\nComment: mine\nVersion: 1\n")))).toEqual(content));
  test("without a checksum, and without the empty line", () =>
    expect(unarmour(text(secret.replace(/^=.*$/m, "").replace("\n\n", "\n")))).toEqual(content));
});

describe("refused", () => {
  test.each([
    ["no armour at all", "hello"],
    ["nothing", ""],
    ["a message's armour", armor(enums.armor.message, content)],
    ["an end that is missing", secret.slice(0, secret.indexOf("-----END"))],
    ["another kind's end", secret.replace("END PGP PRIVATE", "END PGP PUBLIC")],
    ["what is no base64", secret.replace(/^lQEC/m, "l*EC")],
  ])("%s", (_, armoured) => {
    expect(() => unarmour(text(armoured))).toThrow(expect.objectContaining({ code: "BAD_PACKET" }));
  });
});
