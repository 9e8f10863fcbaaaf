import { PAYLOAD_TYPE } from "../../../src/containerd/payload.ts";
import { any, field, varint } from "../../support/payload.ts";
import type { Case, Json } from "../build.ts";

const text = (value: unknown) => JSON.stringify(value);
const wrapped = (json: Buffer) => any(PAYLOAD_TYPE, json);
const replaced = (from: string | RegExp, to: string) => (payload: Json) =>
  Buffer.from(text(payload).replace(from, to));
/** The same number in one byte more than it needs. */
const padded = (value: number) => {
  const bytes = varint(value);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80;
  return Buffer.concat([bytes, Buffer.of(0)]);
};
const typeUrl = field(1, Buffer.from(PAYLOAD_TYPE));
const bad = "BAD_PAYLOAD";

export const PAYLOAD_CASES: Readonly<Record<string, Case>> = {
  "payload-ok": { about: "nothing is wrong", expect: "ok" },
  "payload-none": {
    about: "file descriptor 3 is not open, and there is no content store",
    expect: "NO_PAYLOAD",
    any: () => null,
    args: ["--no-content-store"],
  },
  "payload-empty": {
    about: "no bytes, which count as no payload, and there is no content store",
    expect: "NO_PAYLOAD",
    any: () => Buffer.alloc(0),
    args: ["--no-content-store"],
  },
  "payload-text": { about: "a line of text", expect: bad, any: () => Buffer.from("hello\n") },
  "payload-bare-json": {
    about: "the JSON without the protobuf message around it",
    expect: bad,
    any: (json) => json,
  },
  "payload-zeros": {
    about: "64 zero bytes: field number 0 is no field",
    expect: bad,
    any: () => Buffer.alloc(64),
  },
  "payload-truncated": {
    about: "the last byte is missing",
    expect: bad,
    any: (json) => wrapped(json).subarray(0, -1),
  },
  "payload-truncated-half": {
    about: "the second half is missing",
    expect: bad,
    any: (json) => wrapped(json).subarray(0, json.length / 2),
  },
  "payload-truncated-varint": {
    about: "it ends within a length",
    expect: bad,
    any: () => Buffer.concat([typeUrl, Buffer.of(0x12, 0x80)]),
  },
  "payload-trailing-byte": {
    about: "one byte after the message",
    expect: bad,
    any: (json) => Buffer.concat([wrapped(json), Buffer.of(0xff)]),
  },
  "payload-length-beyond": {
    about: "a length beyond the end",
    expect: bad,
    any: (json) => Buffer.concat([typeUrl, Buffer.of(0x12), varint(json.length + 1), json]),
  },
  "payload-length-huge": {
    about: "a length of 2^63",
    expect: bad,
    any: (json) =>
      Buffer.concat([typeUrl, Buffer.of(0x12), Buffer.from("80808080808080808001", "hex"), json]),
  },
  "payload-varint-11-bytes": {
    about: "a length of 11 bytes, more than 64 bits have",
    expect: bad,
    any: (json) =>
      Buffer.concat([typeUrl, Buffer.of(0x12), Buffer.from("8080808080808080808001", "hex"), json]),
  },
  "payload-varint-not-minimal": {
    about: "a length with a byte more than it needs, which protobuf allows",
    expect: "ok",
    any: (json) => Buffer.concat([typeUrl, Buffer.of(0x12), padded(json.length), json]),
  },
  "payload-tag-not-minimal": {
    about: "a field's tag with a byte more than it needs",
    expect: "ok",
    any: (json) => Buffer.concat([typeUrl, padded(0x12), varint(json.length), json]),
  },
  "payload-field-0": {
    about: "a field of number 0",
    expect: bad,
    any: (json) => Buffer.concat([Buffer.of(0x02, 0), wrapped(json)]),
  },
  "payload-group": {
    about: "a group (wire type 3), which proto3 has not",
    expect: bad,
    any: (json) => Buffer.concat([Buffer.of(0x1b, 0x1c), wrapped(json)]),
  },
  "payload-wire-type-7": {
    about: "a wire type that does not exist",
    expect: bad,
    any: (json) => Buffer.concat([Buffer.of(0x1f), wrapped(json)]),
  },
  "payload-unknown-fields": {
    about: "unknown fields of every wire type are ignored",
    expect: "ok",
    any: (json) =>
      Buffer.concat([
        Buffer.from("1805", "hex"),
        Buffer.from("210102030405060708", "hex"),
        Buffer.from("2d01020304", "hex"),
        field(9, Buffer.from("x")),
        wrapped(json),
      ]),
  },
  "payload-swapped-fields": {
    about: "the value before its type",
    expect: "ok",
    any: (json) => Buffer.concat([field(2, json), typeUrl]),
  },
  "payload-value-twice": {
    about: "the value twice: the last one counts",
    expect: "ok",
    any: (json) => Buffer.concat([typeUrl, field(2, Buffer.from("{}")), field(2, json)]),
  },
  "payload-type-twice": {
    about: "the type twice: the last one, which is wrong, counts",
    expect: bad,
    any: (json) => Buffer.concat([wrapped(json), field(1, Buffer.from("x"))]),
  },
  "payload-other-type": {
    about: "another type",
    expect: bad,
    any: (json) => any("io.containerd.ocicrypt.v2.Payload", json),
  },
  "payload-type-prefixed": {
    about: "the type with the prefix that protobuf's own types have",
    expect: bad,
    any: (json) => any(`type.googleapis.com/${PAYLOAD_TYPE}`, json),
  },
  "payload-type-missing": { about: "no type", expect: bad, any: (json) => field(2, json) },
  "payload-type-nul": {
    about: "the type and a NUL",
    expect: bad,
    any: (json) => any(`${PAYLOAD_TYPE}\0`, json),
  },
  "payload-value-missing": { about: "no value", expect: bad, any: () => typeUrl },
  "payload-value-as-number": {
    about: "the value as a number (wire type 0)",
    expect: bad,
    any: () => Buffer.concat([typeUrl, Buffer.of(0x10, 5)]),
  },
  "json-null": { about: "JSON null", expect: bad, payload: () => Buffer.from("null") },
  "json-list": { about: "a JSON list", expect: bad, payload: (it) => [it] },
  "json-text": { about: "a JSON text", expect: bad, payload: () => Buffer.from('"Descriptor"') },
  "json-truncated": {
    about: "JSON without its last brace",
    expect: bad,
    payload: (it) => Buffer.from(text(it).slice(0, -1)),
  },
  "json-trailing-brace": {
    about: "a brace too many",
    expect: bad,
    payload: (it) => Buffer.from(`${text(it)}}`),
  },
  "json-trailing-object": {
    about: "a second object behind the first",
    expect: bad,
    payload: (it) => Buffer.from(`${text(it)}{}`),
  },
  "json-trailing-nul": {
    about: "a NUL behind the object",
    expect: bad,
    payload: (it) => Buffer.from(`${text(it)}\0`),
  },
  "json-spaces": {
    about: "spaces and line breaks all around",
    expect: "ok",
    payload: (it) => Buffer.from(`\r\n\t ${JSON.stringify(it, null, 2)}\n`),
  },
  "json-bom": {
    about: "a byte order mark before the JSON, which Go refuses too",
    expect: bad,
    payload: (it) => Buffer.from(`\ufeff${text(it)}`),
  },
  "json-utf16": { about: "UTF-16", expect: bad, payload: (it) => Buffer.from(text(it), "utf16le") },
  "json-deep": {
    about: "20,000 nested lists in an unknown member",
    expect: bad,
    payload: (it) => Buffer.from(`{"x":${"[".repeat(20_000)}${"]".repeat(20_000 - 1)},${text(it).slice(1)}`),
  },
  "json-comment": { about: "a comment", expect: bad, payload: (it) => Buffer.from(`/**/${text(it)}`) },
  "json-single-quotes": { about: "single quotes", expect: bad, payload: replaced(/"/g, "'") },
  "json-trailing-comma": {
    about: "a comma before the last brace",
    expect: bad,
    payload: replaced(/}$/, ",}"),
  },
  "json-nan": { about: "NaN for a number", expect: bad, payload: replaced(/"size":\d+/, '"size":NaN') },
  "json-escaped-names": {
    about: "names written with \\u escapes",
    expect: "ok",
    payload: replaced('"Descriptor"', '"\\u0044escriptor"'),
  },
  "json-case-varied": {
    about: "names in other cases, which Go ignores",
    expect: "ok",
    payload: (it) =>
      Buffer.from(
        text(it)
          .replace("Descriptor", "dEsCrIpToR")
          .replace("mediaType", "MEDIATYPE")
          .replace('"annotations"', '"Annotations"'),
      ),
  },
  "json-duplicate-last-good": {
    about: "a descriptor twice, the last one whole",
    expect: "ok",
    payload: (it) => Buffer.from(`{"Descriptor":{},${text(it).slice(1)}`),
  },
  "json-duplicate-last-bad": {
    about: "a descriptor twice, the last one empty",
    expect: "BAD_DESCRIPTOR",
    payload: (it) => Buffer.from(`${text(it).slice(0, -1)},"Descriptor":{}}`),
  },
  "json-duplicate-case": {
    about: "a descriptor twice in different cases: the last one counts",
    expect: "BAD_DESCRIPTOR",
    payload: (it) => Buffer.from(`${text(it).slice(0, -1)},"descriptor":{}}`),
  },
  "json-proto": {
    about: "a member named __proto__ is a member like any",
    expect: "ok",
    payload: (it) => Buffer.from(`{"__proto__":{"Descriptor":5},${text(it).slice(1)}`),
  },
  "json-unknown-members": {
    about: "unknown members",
    expect: "ok",
    payload: (it) => ({ x: [1], ...it, y: null }),
  },
  "parameters-absent": {
    about: "no DecryptConfig",
    expect: "ok",
    payload: ({ Descriptor }) => ({ Descriptor }),
  },
  "parameters-null-config": {
    about: "a DecryptConfig of null",
    expect: "ok",
    payload: (it) => ({ ...it, DecryptConfig: null }),
  },
  "parameters-list": {
    about: "Parameters that are a list",
    expect: bad,
    payload: (it) => ({ ...it, DecryptConfig: { Parameters: [] } }),
  },
  "parameters-no-list": {
    about: "a parameter that is text",
    expect: bad,
    payload: (it) => ({ ...it, DecryptConfig: { Parameters: { privkeys: "AAAA" } } }),
  },
  "parameters-no-base64": {
    about: "a key that is no base64",
    expect: bad,
    payload: (it) => ({ ...it, DecryptConfig: { Parameters: { privkeys: ["-----BEGIN"] } } }),
  },
  "parameters-base64url": {
    about: "a key in base64url",
    expect: bad,
    payload: (it) => ({ ...it, DecryptConfig: { Parameters: { privkeys: ["_-_-"] } } }),
  },
  "parameters-number": {
    about: "a key that is a number",
    expect: bad,
    payload: (it) => ({ ...it, DecryptConfig: { Parameters: { privkeys: [5] } } }),
  },
  "parameters-null-entries": {
    about: "lists with null and empty entries, as clients write them",
    expect: "ok",
    payload: (it) => ({
      ...it,
      DecryptConfig: {
        Parameters: { privkeys: [null, ""], "privkeys-passwords": [null, null, "AA=="], x509s: null },
      },
    }),
  },
  "parameters-garbage-key": {
    about: "a key of the payload that is none is passed over",
    expect: "ok",
    payload: (it) => ({ ...it, DecryptConfig: { Parameters: { privkeys: ["AAAA"] } } }),
  },
  "parameters-garbage-key-strict": {
    about: "with --strict-keys it is not",
    expect: "BAD_KEY",
    args: ["--strict-keys"],
    payload: (it) => ({ ...it, DecryptConfig: { Parameters: { privkeys: ["AAAA"] } } }),
  },
};
