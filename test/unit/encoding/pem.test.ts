import { describe, expect, test } from "vitest";
import { parsePem } from "../../../src/encoding/pem.ts";

const block = (label: string, body: string) => `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
const parsed = (text: string, atMost = 10) =>
  parsePem(text, atMost).map(({ label, headers, body }) => ({
    label,
    headers: Object.fromEntries(headers),
    body: body && Buffer.from(body).toString(),
  }));
const KEY = { label: "KEY", headers: {}, body: "foo" };

describe("a block", () => {
  test.each([
    ["as it should be", block("KEY", "Zm9v")],
    ["with CRLF", block("KEY", "Zm9v").replaceAll("\n", "\r\n")],
    ["with CR alone", `text\r${block("KEY", "Zm9v").replaceAll("\n", "\r")}`],
    ["after a beginning that is none", `-----BEGIN key-----\n${block("KEY", "Zm9v")}`],
    ["with text around it", `Bag Attributes: x\n${block("KEY", "Zm9v")}more text`],
    ["without a last line end", block("KEY", "Zm9v").trimEnd()],
    ["in short lines", block("KEY", "Zm\n9v")],
    ["with blanks at the lines' ends", "-----BEGIN KEY----- \t\n Zm9v \n-----END KEY----- \n"],
    ["with empty lines", block("KEY", "\nZm9v\n\n")],
  ])("%s", (_what, text) => expect(parsed(text)).toEqual([KEY]));

  test("headers, as OpenSSL's encrypted keys have them", () => {
    const inner = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\nZm9v";
    const headers = { "Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00FF" };
    expect(parsed(block("RSA PRIVATE KEY", inner))).toEqual([
      { label: "RSA PRIVATE KEY", headers, body: "foo" },
    ]);
    expect(parsed(block("RSA PRIVATE KEY", inner).replaceAll("\n", "\r\n"))).toMatchObject([
      { headers, body: "foo" },
    ]);
  });

  test("headers without a blank, and not without a name", () => {
    expect(parsed(block("KEY", "A:b\n C : d : e \n\nZm9v"))).toMatchObject([
      { headers: { A: "b", "C ": "d : e" }, body: "foo" },
    ]);
    expect(parsed(block("KEY", ":b\n\nZm9v"))).toMatchObject([{ headers: {}, body: null }]);
  });

  test("what is no base64 has no body", () => {
    for (const body of ["Zm9", "Zm9v!", "Zm9v\nName: x"])
      expect(parsed(block("KEY", body))).toMatchObject([{ body: null }]);
  });
});

test("several blocks in order, and not more than asked for", () => {
  const text = block("A", "Zm9v") + block("B", "Zm8=") + block("A", "Zg==");
  expect(parsed(text).map(({ label, body }) => [label, body])).toEqual([
    ["A", "foo"],
    ["B", "fo"],
    ["A", "f"],
  ]);
  expect(parsed(text, 2)).toHaveLength(2);
  expect(parsed(text, 0)).toEqual([]);
});

test.each([
  ["no end", "-----BEGIN KEY-----\nZm9v\n"],
  ["another's end", "-----BEGIN KEY-----\nZm9v\n-----END OTHER-----\n"],
  ["a character before it", `x${block("KEY", "Zm9v")}`],
  ["no line of its own", "x -----BEGIN KEY-----\nZm9v\n-----END KEY-----\n"],
  ["a label in small letters", block("key", "Zm9v")],
  ["a label with another character", block("A_B", "Zm9v")],
  ["a label with a hyphen", block("A-B", "Zm9v")],
  ["a label of no character", block("", "Zm9v")],
  ["a label of 65 characters", block("A".repeat(65), "Zm9v")],
  ["more on the line", "-----BEGIN KEY----- x\nZm9v\n-----END KEY-----\n"],
  ["dashes that don't end the beginning", "-----BEGIN KEY\nZm9v\n-----END KEY-----\n"],
  ["a beginning alone", "-----BEGIN "],
  ["nothing", ""],
])("%s: no block", (_what, text) => expect(parsed(text)).toEqual([]));

test.each(["Z", "0", "9", "A Z", "A".repeat(64)])("the label %s", (label) => {
  expect(parsed(block(label, "Zm9v"))).toEqual([{ ...KEY, label }]);
});

test("a long text without an end takes no long time", () => {
  expect(parsed("-----BEGIN KEY-----\n".repeat(50_000), 256)).toEqual([]);
});
