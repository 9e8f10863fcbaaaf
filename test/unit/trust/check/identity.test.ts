import { describe, expect, test } from "vitest";
import { TAG, writeElement, writeOid } from "../../../../src/encoding/der.ts";
import { checkNames, describeNames, readNames } from "../../../../src/trust/check/identity.ts";
import { parseCertificate } from "../../../../src/trust/check/x509.ts";
import type { CertificateIdentity, SubjectDemand } from "../../../../src/trust/requirement.ts";
import {
  certificate,
  type ExtensionSpec,
  FULCIO,
  newKey,
  oidcIssuer,
  oldOidcIssuer,
} from "../../../support/sigstore.ts";
import { exact } from "./demand.ts";

/** Skopeo 1.22 gives the same answers. */
test.each([
  ["host.example.test", "host.example.test", true],
  ["HOST.example.test", "host.EXAMPLE.test", true],
  ["*.example.test", "host.example.test", true],
  ["*.test", "example.test", true],
  ["*.example.test", "a.b.example.test", false],
  ["*.example.test", "example.test", false],
  ["*.example.test", ".example.test", false],
  ["h*.example.test", "host.example.test", false],
  ["*", "host", false],
  ["host.example.test", "*.example.test", false],
  ["host.example.test.", "host.example.test", false],
  ["other.example.test", "host.example.test", false],
  ["10.0.0.1", "10.0.0.1", false],
])("a certificate for the host %s is one for %s: %s", (text, host, isOne) => {
  const names = { subjects: [{ kind: "dns", text }], issuer: undefined, workflow: new Map() } as const;
  const check = () => checkNames(names, { subjects: [{ name: "dns", is: { kind: "exact", text: host } }] });
  if (isOne) check();
  else expect(check).toThrow(/is demanded/);
});

describe("the names in a certificate", () => {
  const KEY = newKey();
  const [EMAIL, DNS, URI, OTHER, ADDRESS] = [0x81, 0x82, 0x86, 0xa0, 0x87];
  const [CONSTRUCTED_0, UTF8, IA5] = [0xa0, 0x0c, 0x16];
  const readWith = (...extensions: readonly ExtensionSpec[]) =>
    readNames(
      parseCertificate(
        certificate({
          ...{ subject: "", issuer: "a", key: KEY.publicKey, signer: KEY.privateKey },
          extensions,
        }),
      ),
    );
  const names = (...elements: readonly Uint8Array[]): ExtensionSpec => ({
    oid: "551d11",
    value: writeElement(TAG.SEQUENCE, ...elements),
  });
  const name = (tag: number, text: string) => writeElement(tag, Buffer.from(text));
  const userName = (value: Uint8Array, type = FULCIO("07"), wrapper = CONSTRUCTED_0) =>
    writeElement(OTHER, writeOid(type), writeElement(wrapper, value));

  test("are email addresses, hosts, URIs, and Fulcio's user names", () => {
    const all = names(
      name(EMAIL, "dev@a.test"),
      name(DNS, "a.test"),
      name(URI, "https://a.test/b"),
      userName(name(UTF8, "dév")),
      // Neither is a name that a policy can demand.
      name(ADDRESS, "\n"),
      userName(name(UTF8, "another"), "2a03"),
    );
    expect(readWith(all).subjects).toEqual([
      { kind: "email", text: "dev@a.test" },
      { kind: "dns", text: "a.test" },
      { kind: "uri", text: "https://a.test/b" },
      { kind: "other", text: "dév" },
    ]);
    expect(readWith()).toEqual({ subjects: [], issuer: undefined, workflow: new Map() });
  });

  test.each<[string, ExtensionSpec, RegExp]>([
    ["of no sequence", { oid: "551d11", value: name(EMAIL, "a") }, /subject alternative name is malformed/],
    ["cut short", names(Uint8Array.of(EMAIL, 5)), /subject alternative name is malformed/],
    ["with a control character", names(name(EMAIL, "a\u001f")), /not printable ASCII/],
    ["with DEL", names(name(URI, "a\u007f")), /not printable ASCII/],
    ["of a user in IA5", names(userName(name(IA5, "a"))), /user name is malformed/],
    [
      "of a user without a wrapper",
      names(userName(name(UTF8, "a"), FULCIO("07"), 0xa1)),
      /user name is malformed/,
    ],
    ["of a user that is not UTF-8", names(userName(writeElement(UTF8, Uint8Array.of(0xff)))), /not UTF-8/],
    ["of an issuer that is not text", { oid: FULCIO("08"), value: name(IA5, "a") }, /issuer is malformed/],
    [
      "of an issuer with more after it",
      { oid: FULCIO("08"), value: Buffer.concat([name(UTF8, "a"), Buffer.of(0)]) },
      /issuer is malformed/,
    ],
    ["of an issuer that is not UTF-8", { oid: FULCIO("01"), value: Uint8Array.of(0xff) }, /not UTF-8/],
  ])("are refused %s", (_what, extension, message) => {
    expect(() => readWith(extension)).toThrow(
      expect.objectContaining({ code: "UNTRUSTED", message: expect.stringMatching(message) }),
    );
  });

  test("with 0x20 and 0x7e are printable", () => {
    expect(readWith(names(name(EMAIL, " ~"))).subjects).toEqual([{ kind: "email", text: " ~" }]);
  });

  test("have one issuer, in the older or the newer form", () => {
    const [older, newer] = [oldOidcIssuer("https://i.test"), oidcIssuer("https://i.test")];
    for (const all of [[older], [newer], [older, newer]])
      expect(readWith(...all).issuer).toBe("https://i.test");
    expect(() => readWith(older, oidcIssuer("https://j.test"))).toThrow("names two different issuers");
  });

  test("say what a GitHub workflow was", () => {
    const arcs = ["02", "03", "04", "05", "06"];
    const claims = ["trigger", "sha", "name", "repository", "ref"];
    const { workflow } = readWith(...arcs.map((arc) => ({ oid: FULCIO(arc), value: Buffer.from(arc) })));
    expect([...workflow]).toEqual(claims.map((claim, i) => [claim, arcs[i]]));
    expect(readWith({ oid: FULCIO("09"), value: Buffer.from("x") }).workflow).toEqual(new Map());
  });
});

describe("a demand", () => {
  const NAMES = {
    subjects: [
      { kind: "email", text: "dev@a.test" },
      { kind: "dns", text: "a.test" },
      { kind: "uri", text: "https://a.test/b" },
      { kind: "other", text: "dev" },
    ],
    issuer: "https://i.test",
    workflow: new Map([["ref", "main"]] as const),
  } as const;
  const holds = (identity: CertificateIdentity, names: Parameters<typeof checkNames>[0] = NAMES) => {
    try {
      checkNames(names, identity);
      return true;
    } catch {
      return false;
    }
  };
  const subject = (name: SubjectDemand["name"], text: string) => ({ name, is: exact(text) });

  test.each<[SubjectDemand["name"], string, boolean]>([
    ["any", "dev@a.test", true],
    ["any", "https://a.test/b", true],
    ["any", "dev", true],
    ["any", "a.test", false],
    ["email", "dev@a.test", true],
    ["email", "dev", false],
    ["uri", "https://a.test/b", true],
    ["uri", "dev@a.test", false],
    ["dns", "A.test", true],
    ["dns", "dev", false],
  ])("of the kind %s for %s holds: %s", (kind, text, isHeld) => {
    expect(holds({ subjects: [subject(kind, text)] })).toBe(isHeld);
  });

  test("of several subjects holds if each does", () => {
    expect(holds({ subjects: [subject("email", "dev@a.test"), subject("dns", "a.test")] })).toBe(true);
    expect(holds({ subjects: [subject("email", "dev@a.test"), subject("dns", "b.test")] })).toBe(false);
    expect(() => checkNames(NAMES, { subjects: [] })).toThrow("anybody can get a certificate");
  });

  test("may be a prefix, or an expression of at most 2048 characters", () => {
    const is = (demand: SubjectDemand["is"]) => holds({ subjects: [{ name: "uri", is: demand }] });
    expect(is({ kind: "prefix", text: "https://a.test/" })).toBe(true);
    expect(is({ kind: "prefix", text: "https://b.test/" })).toBe(false);
    expect(is({ kind: "regexp", regexp: /^https:\/\/a.*$/ })).toBe(true);
    expect(is({ kind: "regexp", regexp: /^https:\/\/b.*$/ })).toBe(false);
    const host = (regexp: RegExp) => holds({ subjects: [{ name: "dns", is: { kind: "regexp", regexp } }] });
    expect([host(/^a\./), host(/^b\./)]).toEqual([true, false]);
  });

  test("of an issuer or a workflow holds for the same one", () => {
    const subjects = [subject("email", "dev@a.test")];
    const nobody = { ...NAMES, issuer: undefined };
    expect(holds({ subjects, issuer: exact("https://i.test") })).toBe(true);
    expect(holds({ subjects, issuer: exact("https://j.test") })).toBe(false);
    expect(holds({ subjects, issuer: exact("https://i.test") }, nobody)).toBe(false);
    expect(holds({ subjects, issuer: { kind: "regexp", regexp: /^undefined$/ } }, nobody)).toBe(false);
    expect(holds({ subjects }, nobody)).toBe(true);
    expect(holds({ subjects, workflow: new Map([["ref", "main"]]) })).toBe(true);
    expect(holds({ subjects, workflow: new Map([["ref", "dev"]]) })).toBe(false);
  });

  test("that does not hold is said with what the certificate has", () => {
    const whole = "dev@a.test, a.test, https://a.test/b, dev (issuer https://i.test)";
    expect(describeNames(NAMES)).toBe(whole);
    expect(describeNames({ subjects: [], issuer: undefined, workflow: new Map() })).toBe("no identity");
    const messageOf = (identity: CertificateIdentity) => {
      try {
        checkNames(NAMES, identity);
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    };
    const subjects = [subject("email", "dev@a.test")];
    expect(messageOf({ subjects: [subject("any", "x")] })).toBe(
      `its certificate is ${whole}, and the subject "x" is demanded`,
    );
    expect(messageOf({ subjects: [{ name: "any", is: { kind: "prefix", text: "x" } }] })).toMatch(
      /the subject "x…" is demanded$/,
    );
    expect(messageOf({ subjects, issuer: { kind: "regexp", regexp: /x/ } })).toMatch(
      /the issuer matching x is demanded$/,
    );
    const workflow = (claim: "sha" | "ref") => messageOf({ subjects, workflow: new Map([[claim, "x"]]) });
    expect(workflow("sha")).toBe('its certificate\'s GitHub workflow sha is missing, and "x" is demanded');
    expect(workflow("ref")).toBe('its certificate\'s GitHub workflow ref is "main", and "x" is demanded');
  });
});
