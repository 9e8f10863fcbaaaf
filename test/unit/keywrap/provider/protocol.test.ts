import { describe, expect, test } from "vitest";
import {
  readAnswer,
  UNWRAP,
  unwrapRequest,
  WRAP,
  wrapRequest,
} from "../../../../src/keywrap/provider/protocol.ts";
import { base64 } from "./support.ts";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

describe("requests are what Go writes, to the byte", () => {
  test("to unwrap", () => {
    const request = unwrapRequest(bytes("packet"), new Map([["kms", [bytes("token"), null]]]));
    expect(request.toString()).toBe(
      '{"op":"keyunwrap","keywrapparams":{"ec":null,"optsdata":null},"keyunwrapparams":{"dc":{"Parameters":{"kms":["dG9rZW4=",null]}},"annotation":"cGFja2V0"}}',
    );
  });

  test("to wrap", () => {
    const request = wrapRequest(bytes("options"), new Map([["kms", [bytes("Enabled")]]]));
    expect(request.toString()).toBe(
      '{"op":"keywrap","keywrapparams":{"ec":{"Parameters":{"kms":["RW5hYmxlZA=="]},"DecryptConfig":{"Parameters":{}}},"optsdata":"b3B0aW9ucw=="},"keyunwrapparams":{"dc":null,"annotation":null}}',
    );
  });
});

describe("answers", () => {
  const read = (text: string) => Buffer.from(readAnswer("kms", UNWRAP, bytes(text))).toString();

  test.each([
    ["a text", `{"keyunwrapresults":{"optsdata":"${base64("opts")}"}}`],
    [
      "what Go answers",
      `{"keywrapresults":{"annotation":null},"keyunwrapresults":{"optsdata":"${base64("opts")}"}}`,
    ],
    ["what Rust's serde makes of bytes", '{"keyunwrapresults":{"optsdata":[111,112,116,115]}}'],
    ["another case of the names", `{"KeyUnwrapResults":{"OptsData":"${base64("opts")}"}}`],
    ["line breaks within the base64", '{"keyunwrapresults":{"optsdata":"b3B0\\ncw==\\r\\n"}}'],
    ["white space around", ` \n{"keyunwrapresults":{"optsdata":"${base64("opts")}"}}\n`],
  ])("%s", (_what, text) => {
    expect(read(text)).toBe("opts");
  });

  test("a wrapped key comes in another member", () => {
    const answer = bytes(`{"keywrapresults":{"annotation":"${base64("packet")}"}}`);
    expect(Buffer.from(readAnswer("kms", WRAP, answer)).toString()).toBe("packet");
    expect(() => readAnswer("kms", UNWRAP, answer)).toThrow(expect.objectContaining({ code: "PROVIDER" }));
  });

  test.each([
    "",
    " ",
    "garbage",
    "null",
    "[]",
    '"text"',
    "{}",
    '{"keyunwrapresults":null}',
    '{"keyunwrapresults":[]}',
    '{"keyunwrapresults":{}}',
    '{"keyunwrapresults":{"optsdata":null}}',
    '{"keyunwrapresults":{"optsdata":""}}',
    '{"keyunwrapresults":{"optsdata":"\\n"}}',
    '{"keyunwrapresults":{"optsdata":[]}}',
    '{"keyunwrapresults":{"optsdata":7}}',
    '{"keyunwrapresults":{"optsdata":{}}}',
    '{"keyunwrapresults":{"optsdata":"no base64!"}}',
    '{"keyunwrapresults":{"optsdata":"b3B0cw"}}',
    '{"keyunwrapresults":{"optsdata":"b3B0cw==","optsdata":7}}',
    '{"keyunwrapresults":{"optsdata":[256]}}',
    '{"keyunwrapresults":{"optsdata":[-1]}}',
    '{"keyunwrapresults":{"optsdata":[1.5]}}',
    '{"keyunwrapresults":{"optsdata":["1"]}}',
    '{"keyunwrapresults":{"optsdata":"b3B0cw=="}} trailing',
    '\ufeff{"keyunwrapresults":{"optsdata":"b3B0cw=="}}',
    '{"keyunwrapresults":{"optsdata":"b3B0cw=="',
    '{"a":'.repeat(100_000),
  ])("%.60s is a failure of the provider, which is named", (text) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({ code: "PROVIDER", message: expect.stringContaining('"kms"') }),
    );
  });

  test.each(["hunter2", '{"hunter2', '{"keyunwrapresults":{"optsdata":"hunter2!"}}'])(
    "no message quotes an answer: %s",
    (text) => {
      try {
        read(text);
        expect.unreachable();
      } catch (error) {
        expect(String((error as Error).message)).not.toContain("hunter");
        expect(error).not.toHaveProperty("cause");
      }
    },
  );
});
