import { describe, expect, test } from "vitest";
import { describe as describePacket } from "../../../../src/keywrap/pkcs11/describe.ts";
import { encodeMessage, parseMessage } from "../../../../src/keywrap/pkcs11/message.ts";

const blob = (bytes: number) => Buffer.alloc(bytes, 7).toString("base64");
const parse = (json: unknown) =>
  parseMessage(new TextEncoder().encode(typeof json === "string" ? json : JSON.stringify(json)));
const message = (...recipients: unknown[]) => ({ version: 0, recipients });
const badPacket = expect.objectContaining({ code: "BAD_PACKET" });

test("several recipients", () => {
  const recipients = parse(
    message(
      { version: 0, blob: blob(256), hash: "sha1" },
      { version: 0, blob: blob(384), hash: "sha256" },
      { version: 0, blob: blob(512) },
    ),
  );
  expect(recipients).toEqual([
    { hash: "sha1", blob: new Uint8Array(256).fill(7) },
    { hash: "sha256", blob: new Uint8Array(384).fill(7) },
    { hash: "sha1", blob: new Uint8Array(512).fill(7) },
  ]);
});

test("what is written can be read again, and has the peers' form", () => {
  const recipients = [
    { hash: "sha256", blob: new Uint8Array(384).fill(7) },
    { hash: "sha1", blob: new Uint8Array(256).fill(7) },
  ] as const;
  const packet = encodeMessage(recipients);
  expect(parseMessage(packet)).toEqual(recipients);
  expect(Buffer.from(packet).toString()).toBe(
    `{"version":0,"recipients":[{"version":0,"blob":"${blob(384)}","hash":"sha256"},{"version":0,"blob":"${blob(256)}","hash":"sha1"}]}`,
  );
});

describe("as Go reads JSON", () => {
  test.each([
    ["an empty hash is sha1", message({ version: 0, blob: blob(256), hash: "" })],
    ["no version is 0", { recipients: [{ blob: blob(256) }] }],
    ["names of any case", { VERSION: 0, Recipients: [{ Blob: blob(256), HASH: "sha1" }] }],
    ["unknown fields", { ...message({ blob: blob(256), x: 1 }), y: 2 }],
    ["line breaks in base64", message({ blob: blob(256).replace(/(.{64})/g, "$1\r\n") })],
  ])("%s", (_rule, json) => {
    expect(parse(json)).toEqual([{ hash: "sha1", blob: new Uint8Array(256).fill(7) }]);
  });
});

describe("a message that is refused", () => {
  const good = { version: 0, blob: blob(256), hash: "sha1" };
  test.each([
    ["empty", ""],
    ["truncated", JSON.stringify(message(good)).slice(0, -2)],
    ["no object", [good]],
    ["null", "null"],
    ["another version", { version: 1, recipients: [good] }],
    ["a version that is text", { version: "0", recipients: [good] }],
    ["a recipient of another version", message(good, { ...good, version: 1 })],
    ["no recipients", { version: 0 }],
    ["an empty list", message()],
    ["recipients that are no list", { version: 0, recipients: good }],
    ["a recipient that is no object", message(good, "x")],
    ["too many recipients", message(...Array(1025).fill(good))],
    ["deep nesting", `{"version":0,"recipients":${"[".repeat(100_000)}`],
  ])("%s", (_what, json) => {
    expect(() => parse(json)).toThrow(badPacket);
  });

  test("the most recipients are read", () => {
    expect(parse(message(...Array(1024).fill(good)))).toHaveLength(1024);
  });
});

describe("a recipient that can't be used does no harm to the others", () => {
  const other = { hash: "sha1", blob: new Uint8Array(256).fill(7) };
  test.each([
    ["an unlisted hash", { blob: blob(256), hash: "sha512" }],
    ["a hash in capitals", { blob: blob(256), hash: "SHA1" }],
    ["a hash that is no text", { blob: blob(256), hash: 1 }],
    ["a name of every object", { blob: blob(256), hash: "constructor" }],
    ["no blob", { hash: "sha1" }],
    ["no base64", { blob: `${blob(256)}!` }],
    ["an empty blob", { blob: "" }],
    ["a blob for a weak key", { blob: blob(255) }],
    ["a blob for no allowed key", { blob: blob(1025) }],
  ])("%s", (_what, recipient) => {
    const [first, second] = parse(message({ version: 0, ...recipient }, { blob: blob(256) }));
    expect(first).toEqual({ reason: expect.any(String) });
    expect(second).toEqual(other);
  });
});

test("what describe tells", () => {
  const json = message({ blob: blob(256) }, { blob: blob(384), hash: "sha256" }, { blob: "" });
  expect(describePacket(new TextEncoder().encode(JSON.stringify(json)))).toEqual([
    { algorithm: "RSA-2048 OAEP sha1" },
    { algorithm: "RSA-3072 OAEP sha256" },
    { algorithm: "unknown" },
  ]);
  expect(() => describePacket(new TextEncoder().encode("{}"))).toThrow(badPacket);
});
