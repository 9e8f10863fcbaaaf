import { describe, expect, test } from "vitest";
import { describe as describePacket } from "../../../../src/keywrap/jwe/describe.ts";
import { parseJwe } from "../../../../src/keywrap/jwe/message.ts";
import {
  contentAlgorithm,
  describeRecipient,
  label,
  mayOpen,
  wrappedCek,
} from "../../../../src/keywrap/jwe/recipient.ts";
import { b64u } from "../../../support/jwe.ts";

const bytes = (value: unknown) =>
  new Uint8Array(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)));
const parameters = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${i}`, i]));
const header = (value: unknown) => b64u(JSON.stringify(value));
const refused = expect.objectContaining({ code: "BAD_PACKET" });
const [IV, TEXT, TAG, KEY] = [b64u("iv"), b64u("ciphertext"), b64u("tag"), b64u("key")];
const REST = { iv: IV, ciphertext: TEXT, tag: TAG };
const FLAT = { ...REST, protected: header({ alg: "a", enc: "e" }), encrypted_key: KEY };

const text = (octets: Uint8Array) => Buffer.from(octets).toString();

describe("serializations", () => {
  test("flattened", () => {
    const jwe = parseJwe(bytes({ ...FLAT, header: { kid: "k" } }));
    expect(jwe.recipients.map((it) => [{ ...it.header }, text(it.encryptedKey)])).toEqual([
      [{ alg: "a", enc: "e", kid: "k" }, "key"],
    ]);
    expect([jwe.iv, jwe.ciphertext, jwe.tag].map(text)).toEqual(["iv", "ciphertext", "tag"]);
    expect(text(jwe.additionalData)).toBe(FLAT.protected);
  });

  test("general, with parts of the header everywhere", () => {
    const jwe = parseJwe(
      bytes({
        ...REST,
        protected: header({ enc: "e" }),
        unprotected: { x: 1 },
        recipients: [{ header: { alg: "a" }, encrypted_key: KEY }, { encrypted_key: "" }],
        encrypted_key: "ignored!",
      }),
    );
    expect(jwe.recipients.map((it) => [{ ...it.header }, text(it.encryptedKey)])).toEqual([
      [{ enc: "e", x: 1, alg: "a" }, "key"],
      [{ enc: "e", x: 1 }, ""],
    ]);
  });

  test("compact", () => {
    const jwe = parseJwe(bytes(` ${FLAT.protected}.${KEY}.${IV}.${TEXT}.${TAG}\n`));
    expect(jwe.recipients.map((it) => [{ ...it.header }, text(it.encryptedKey)])).toEqual([
      [{ alg: "a", enc: "e" }, "key"],
    ]);
    expect([jwe.iv, jwe.ciphertext, jwe.tag].map(text)).toEqual(["iv", "ciphertext", "tag"]);
    expect(text(jwe.additionalData)).toBe(FLAT.protected);
  });

  test("what is authenticated besides: nothing, or the aad after a dot", () => {
    const { protected: _, ...unprotected } = FLAT;
    expect(text(parseJwe(bytes(unprotected)).additionalData)).toBe("");
    expect(text(parseJwe(bytes({ ...unprotected, aad: b64u("x") })).additionalData)).toBe(`.${b64u("x")}`);
    expect(text(parseJwe(bytes({ ...FLAT, aad: "" })).additionalData)).toBe(`${FLAT.protected}.`);
  });

  test("a header named as an object's own members is a plain one", () => {
    const jwe = parseJwe(
      bytes(
        `{"protected":"${b64u('{"__proto__":{"alg":"a"}}')}","encrypted_key":"","iv":"","ciphertext":"","tag":""}`,
      ),
    );
    expect(jwe.recipients[0]?.header["alg"]).toBeUndefined();
    expect(jwe.recipients[0]?.header["toString"]).toBeUndefined();
  });
});

describe("what is malformed is refused, and not quoted", () => {
  test.each<[string, unknown]>([
    ["nothing", ""],
    ["text", "hunter2"],
    ["broken JSON", '{"a":hunter2'],
    ["four parts", `${FLAT.protected}.${KEY}.${IV}.${TEXT}`],
    ["six parts", `${FLAT.protected}.${KEY}.${IV}.${TEXT}.${TAG}.`],
    ["a compact one without a header", `.${KEY}.${IV}.${TEXT}.${TAG}`],
    ["a protected header that is a number", { ...FLAT, protected: 5 }],
    ["a protected header that is no base64url", { ...FLAT, protected: "hunter2!" }],
    ["a protected header that is no JSON", { ...FLAT, protected: b64u("hunter2") }],
    ["a protected header that is a list", { ...FLAT, protected: header([]) }],
    ["an unprotected header that is text", { ...FLAT, unprotected: "hunter2" }],
    ["a recipient's header that is a list", { ...FLAT, header: [] }],
    ["65 parameters in the protected header", { ...FLAT, protected: header(parameters(65)) }],
    ["65 parameters in the unprotected header", { ...FLAT, unprotected: parameters(65) }],
    ["65 parameters in a recipient's header", { ...FLAT, header: parameters(65) }],
    ["no iv", { ...FLAT, iv: undefined }],
    ["a ciphertext with padding", { ...FLAT, ciphertext: "aHVudGVyMg==" }],
    ["a tag that is a number", { ...FLAT, tag: 5 }],
    ["no encrypted_key", { ...FLAT, encrypted_key: undefined }],
    ["an aad that is no base64url", { ...FLAT, aad: "?" }],
    ["an aad that is null", { ...FLAT, aad: null }],
    ["no recipients", { ...FLAT, recipients: [] }],
    ["recipients that are an object", { ...FLAT, recipients: {} }],
    ["a recipient that is text", { ...REST, recipients: ["hunter2"] }],
    ["a recipient that is null", { ...REST, recipients: [null] }],
    ["a recipient without a key", { ...REST, recipients: [{ header: {} }] }],
    ["a name in the protected and the unprotected header", { ...FLAT, unprotected: { alg: "a" } }],
    ["a name in the protected and the recipient's header", { ...FLAT, header: { enc: "e" } }],
    [
      "a name in the unprotected and the recipient's header",
      { ...FLAT, unprotected: { x: 1 }, header: { x: 1 } },
    ],
  ])("%s", (_what, packet) => {
    expect(() => parseJwe(bytes(packet))).toThrow(refused);
    expect(() => parseJwe(bytes(packet))).not.toThrow(/hunter2/);
  });
});

describe("the content encryption", () => {
  const recipient = (more: object) => ({ encrypted_key: KEY, header: more });
  const parse = (...headers: object[]) =>
    parseJwe(
      bytes({
        iv: b64u(Buffer.alloc(12)),
        ciphertext: "",
        tag: b64u(Buffer.alloc(16)),
        recipients: headers.map(recipient),
      }),
    );

  test("is that of all recipients", () => {
    expect(contentAlgorithm(parse({ enc: "A256GCM" }, { enc: "A256GCM" }))).toMatchObject({
      keyBytes: 32,
      ivBytes: 12,
    });
  });

  test.each<[string, object[]]>([
    ["none", [{}]],
    ["an unknown one", [{ enc: "A512GCM" }]],
    ["one in another case", [{ enc: "a256gcm" }]],
    ["an object's own member", [{ enc: "constructor" }]],
    ["two", [{ enc: "A256GCM" }, { enc: "A128GCM" }]],
    ["none for the second", [{ enc: "A256GCM" }, {}]],
    ["compressed", [{ enc: "A256GCM", zip: "DEF" }]],
    ["compressed in no known way", [{ enc: "A256GCM", zip: "" }]],
    ["compressed for the second", [{ enc: "A256GCM" }, { enc: "A256GCM", zip: "DEF" }]],
    ["with critical extensions", [{ enc: "A256GCM", crit: ["x"] }]],
    ["with an empty list of them", [{ enc: "A256GCM", crit: [] }]],
    ["with critical extensions that are not a list", [{ enc: "A256GCM", crit: "x" }]],
    ["with critical extensions that are null", [{ enc: "A256GCM", crit: null }]],
  ])("%s is refused", (_what, headers) => expect(() => contentAlgorithm(parse(...headers))).toThrow(refused));
});

describe("names in messages", () => {
  const described = (header: object) =>
    describeRecipient({ header: header as never, encryptedKey: new Uint8Array() });

  test("of a recipient", () => {
    expect(described({ alg: "RSA-OAEP", kid: "node" })).toBe("RSA-OAEP kid=node");
    expect(described({ alg: "ECDH-ES+A256KW", epk: { crv: "P-256" } })).toBe("ECDH-ES+A256KW P-256");
    expect(described({})).toBe("(absent)");
    expect(described({ alg: 5, epk: { crv: 5 } })).toBe("(not a text)");
  });

  test("are made fit for a line", () => {
    expect(label("a\n\u001b[2Jé")).toBe("a??[2J?");
    expect(label("x".repeat(80))).toBe("x".repeat(80));
    expect(label("x".repeat(81))).toBe(`${"x".repeat(80)}…`);
  });

  test("of a packet's recipients, for inspection", () => {
    const recipients = [{ header: { alg: "a", kid: "k" }, encrypted_key: "" }, { encrypted_key: "" }];
    expect(describePacket(bytes({ ...REST, recipients }))).toEqual([
      { algorithm: "a", id: "k" },
      { algorithm: "(absent)" },
    ]);
    expect(() => describePacket(bytes("x"))).toThrow(refused);
  });
});

test("an RSA key fits what is as long as its modulus, and smaller", () => {
  const content = { keyBytes: 32, ivBytes: 12, tagBytes: 16 };
  const encryptedKey = new Uint8Array(256).fill(0x90);
  const wrapped = wrappedCek({ header: { alg: "RSA-OAEP" } as never, encryptedKey }, content);
  if ("reason" in wrapped) throw new Error(wrapped.reason);
  const fits = (modulus: Uint8Array) => mayOpen(wrapped, { type: "rsa", modulus } as never);
  expect([255, 256, 257, 384].map((length) => fits(new Uint8Array(length).fill(0x91)))).toEqual([
    false,
    true,
    false,
    false,
  ]);
  expect([encryptedKey, new Uint8Array(256).fill(0x80)].map(fits)).toEqual([false, false]);
});
