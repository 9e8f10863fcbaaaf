import { describe, expect, test } from "vitest";
import { PAYLOAD_TYPE, parsePayload } from "../../../src/containerd/payload.ts";
import { any } from "../../support/payload.ts";

const MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+encrypted";

function parse(json: unknown, type = PAYLOAD_TYPE) {
  const text = typeof json === "string" ? json : JSON.stringify(json);
  return parsePayload(new Uint8Array(any(type, Buffer.from(text))));
}

const descriptorOf = (descriptor: unknown) => parse({ Descriptor: descriptor }).descriptor;
const parametersOf = (parameters: unknown) =>
  parse({ DecryptConfig: { Parameters: parameters }, Descriptor: { mediaType: MEDIA_TYPE } }).parameters;
const failing = (code: string) => expect.objectContaining({ code });

describe("descriptor", () => {
  test("as containerd writes it", () => {
    const descriptor = { mediaType: MEDIA_TYPE, digest: "sha256:00", size: 5, annotations: { a: "b" } };
    expect(descriptorOf(descriptor)).toEqual(descriptor);
  });

  test("what it does not tell is undefined; Go writes an unset size as 0", () => {
    for (const size of [undefined, null, 0]) {
      const descriptor = descriptorOf({ mediaType: MEDIA_TYPE, digest: "", size, annotations: null });
      expect(descriptor).toEqual({ mediaType: MEDIA_TYPE, annotations: {} });
    }
  });

  test("names in any case, the last one counts, unknown ones do not", () => {
    const json = `{"x":1,"DESCRIPTOR":{"MediaType":"old","mediatype":"${MEDIA_TYPE}","SIZE":7,"other":[]}}`;
    expect(parse(json).descriptor).toMatchObject({ mediaType: MEDIA_TYPE, size: 7 });
  });

  test("annotations named as an object's own members are plain annotations", () => {
    const { annotations } = descriptorOf(
      JSON.parse(`{"mediaType":"x","annotations":{"__proto__":"a","constructor":"b"}}`),
    );
    expect(Object.entries(annotations)).toEqual([
      ["__proto__", "a"],
      ["constructor", "b"],
    ]);
    expect(annotations["toString"]).toBeUndefined();
  });

  test.each([
    ["none", undefined],
    ["null", null],
    ["a list", []],
    ["no media type", {}],
    ["a media type that is no text", { mediaType: 1 }],
    ["a negative size", { mediaType: "x", size: -1 }],
    ["a broken size", { mediaType: "x", size: 1.5 }],
    ["a size beyond what can be counted", { mediaType: "x", size: 2 ** 60 }],
    ["a size as text", { mediaType: "x", size: "5" }],
    ["annotations as a list", { mediaType: "x", annotations: [] }],
    ["an annotation that is no text", { mediaType: "x", annotations: { a: 1 } }],
  ])("%s is refused", (_what, descriptor) => {
    expect(() => descriptorOf(descriptor)).toThrow(failing("BAD_DESCRIPTOR"));
  });
});

describe("parameters", () => {
  test("lists of bytes by name, null entries included", () => {
    const parameters = parametersOf({ privkeys: ["Zm9v", null, ""], "my.provider": [], empty: null });
    expect([...parameters]).toEqual([
      ["privkeys", [new Uint8Array(Buffer.from("foo")), null, new Uint8Array()]],
      ["my.provider", []],
      ["empty", []],
    ]);
  });

  test.each([{}, { DecryptConfig: null }, { DecryptConfig: {} }, { DecryptConfig: { Parameters: null } }])(
    "there may be none: %j",
    (json) => expect(parse({ ...json, Descriptor: { mediaType: MEDIA_TYPE } }).parameters.size).toBe(0),
  );

  test("the names of the structures come in any case", () => {
    const json = `{"decryptconfig":{"parameters":{"privkeys":["Zm9v"]}},"descriptor":{"mediaType":"x"}}`;
    expect(parse(json).parameters.get("privkeys")).toHaveLength(1);
  });

  test.each([
    ["a list in their place", []],
    ["text in their place", "x"],
    ["a parameter that is no list", { privkeys: "Zm9v" }],
    ["a parameter that is an object", { privkeys: { 0: "Zm9v" } }],
    ["an entry that is a number", { privkeys: [5] }],
    ["an entry that is no base64", { privkeys: ["hunter2!"] }],
    ["an entry in base64url", { privkeys: ["-_-_"] }],
  ])("%s is refused", (_what, parameters) => {
    expect(() => parametersOf(parameters)).toThrow(failing("BAD_PAYLOAD"));
  });
});

test.each([
  ["nothing", new Uint8Array()],
  ["text", new Uint8Array(Buffer.from('{"Descriptor":{}}'))],
  ["no JSON inside", new Uint8Array(any(PAYLOAD_TYPE, Buffer.from("hunter2")))],
  ["a list inside", new Uint8Array(any(PAYLOAD_TYPE, Buffer.from("[]")))],
  ["another type", new Uint8Array(any("io.containerd.other", Buffer.from("{}")))],
  ["its type with a prefix", new Uint8Array(any(`type.googleapis.com/${PAYLOAD_TYPE}`, Buffer.from("{}")))],
])("%s is no payload", (_what, bytes) => {
  expect(() => parsePayload(bytes)).toThrow(failing("BAD_PAYLOAD"));
});

test("no message quotes the payload", () => {
  const secrets = [
    `{"DecryptConfig":hunter2}`,
    `{"DecryptConfig":{"Parameters":{"privkeys":["hunter2!"]}},"Descriptor":{"mediaType":"x"}}`,
  ];
  for (const json of secrets) {
    expect(() => parse(json)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("hunter2") }),
    );
  }
});
