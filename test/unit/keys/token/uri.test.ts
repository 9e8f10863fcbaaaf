import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { parsePkcs11Uri } from "../../../../src/keys/token/uri.ts";

const nothing = {
  token: {
    label: undefined,
    serial: undefined,
    manufacturer: undefined,
    model: undefined,
    slotId: undefined,
  },
  object: undefined,
  id: undefined,
  modulePath: undefined,
  moduleName: undefined,
  pinValue: undefined,
  pinSource: undefined,
};
const token = (fields: object) => ({ ...nothing, token: { ...nothing.token, ...fields } });

describe("what RFC 7512 says", () => {
  test.each([
    ["pkcs11:", nothing],
    ["pkcs11:token=a%20b", token({ label: "a b" })],
    [
      "pkcs11:serial=1;manufacturer=m;model=n;slot-id=4294967295",
      token({ serial: "1", manufacturer: "m", model: "n", slotId: 0xffffffff }),
    ],
    ["pkcs11:object=k=1;type=private", { ...nothing, object: "k=1" }],
    ["pkcs11:id=%00%ffA", { ...nothing, id: Uint8Array.of(0, 0xff, 0x41) }],
    ["pkcs11:object=a+b%2B", { ...nothing, object: "a+b+" }],
    ["pkcs11:object=caf%C3%A9", { ...nothing, object: "café" }],
    ["pkcs11:object=café", { ...nothing, object: "café" }],
    ["pkcs11:?pin-value=a%26b", { ...nothing, pinValue: "a&b" }],
    ["pkcs11:?pin-source=file:/run/pin", { ...nothing, pinSource: "file:/run/pin" }],
    ["pkcs11:?module-name=softhsm2", { ...nothing, moduleName: "softhsm2" }],
    ["pkcs11:?module-path=/usr/lib/x.so", { ...nothing, modulePath: "/usr/lib/x.so" }],
    ["pkcs11:object=%EF%BB%BFa", { ...nothing, object: "\ufeffa" }],
    ["pkcs11:slot-id=0", token({ slotId: 0 })],
    ["pkcs11:x-vendor=1;library-version=3?x-vendor=2", nothing],
  ])("%s", (uri, parsed) => {
    expect(parsePkcs11Uri(uri)).toEqual(parsed);
  });

  test.each([
    ["", "no scheme"],
    ["token=a", "no scheme"],
    ["PKCS11:token=a", "another scheme"],
    ["pkcs11:token", "no value"],
    ["pkcs11:;token=a", "an empty attribute"],
    ["pkcs11:=a", "no name"],
    ["pkcs11:token=a;token=b", "twice"],
    ["pkcs11:?pin-value=1&pin-value=2", "twice"],
    ["pkcs11:?pin-value=1&pin-source=/pin", "two PINs"],
    ["pkcs11:token=%4", "a short escape"],
    ["pkcs11:token=%zz", "no hexadecimal digits"],
    ["pkcs11:token=%ff", "not UTF-8"],
    ["pkcs11:slot-id=-1", "a negative slot"],
    ["pkcs11:slot-id=4294967296", "33 bits"],
    ["pkcs11:slot-id=x", "no number"],
    ["pkcs11:type=cert", "private and public"],
  ])("%s is refused: %s", (uri) => {
    expect(() => parsePkcs11Uri(uri)).toThrow(expect.objectContaining({ code: "BAD_KEY" }));
  });
});

test.each([
  "pkcs11:?pin-value=s3cret%",
  "pkcs11:?pin-value=s3cret%ff",
  "pkcs11:?pin-value=s3cret&pin-source=/x",
  "s3cret",
])("no error quotes the URI: %s", (uri) => {
  let error: unknown;
  try {
    parsePkcs11Uri(uri);
  } catch (caught) {
    error = caught;
  }
  expect(error).toMatchObject({ code: "BAD_KEY" });
  expect(inspect(error)).not.toContain("s3cret");
});
