import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isExempt, proxyFor } from "../../../src/registry/proxy.ts";

const url = (text: string) => new URL(text);

describe("NO_PROXY", () => {
  it.each([
    ["*", "https://reg.example", true],
    ["reg.example", "https://reg.example", true],
    ["REG.example", "https://reg.example", true],
    ["example", "https://reg.example", true],
    ["eg.example", "https://reg.example", false],
    [".example", "https://reg.example", true],
    [".reg.example", "https://reg.example", false],
    ["*.example", "https://reg.example", true],
    ["reg.example:443", "https://reg.example", true],
    ["reg.example:5000", "https://reg.example", false],
    ["reg.example:5000", "https://reg.example:5000", true],
    ["10.0.0.0/8", "https://10.1.2.3:5000", true],
    ["10.0.0.0/33", "https://10.1.2.3", false],
    ["10.0.0.0/", "https://10.1.2.3", false],
    ["10.1.2.3", "https://10.1.2.3:5000", true],
    ["10.1.2.3:1", "https://10.1.2.3:5000", false],
    ["fd00::/8", "https://[fd00::1]", true],
    ["fd00::1", "https://[fd00:0::1]:5000", true],
    ["[fd00::1]:5000", "https://[fd00::1]:5000", true],
    ["[fd00::1]:5001", "https://[fd00::1]:5000", false],
    [" a , reg.example ", "https://reg.example", true],
    ["", "https://reg.example", false],
    [",,", "https://reg.example", false],
  ])("%s and %s: %s", (list, address, expected) => {
    expect(isExempt(url(address), list)).toBe(expected);
  });

  it("exempts a host that it names, wherever it stands, and no other", () => {
    const host = fc.stringMatching(/^[a-z][a-z0-9]{0,6}\.[a-z]{2,4}$/);
    fc.assert(
      fc.property(fc.uniqueArray(host, { minLength: 2, maxLength: 6 }), ([first = "", ...others]) => {
        expect(isExempt(url(`https://${first}`), [...others, first].join(","))).toBe(true);
        expect(isExempt(url(`https://${first}`), others.map((it) => `x${it}`).join(","))).toBe(false);
      }),
    );
  });

  it("answers for any list", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."*.,:[]/1a0 ") }), (list) => {
        expect(typeof isExempt(url("https://10.0.0.1"), list)).toBe("boolean");
      }),
    );
  });
});

describe("the proxy for an address", () => {
  const environment = {
    HTTPS_PROXY: "http://ann:p%40ss@proxy.example:3128",
    HTTP_PROXY: "plain.example:8080",
  };

  it("depends on its scheme", () => {
    expect(proxyFor(url("https://reg.example"), environment)?.url.host).toBe("proxy.example:3128");
    expect(proxyFor(url("http://reg.example"), environment)?.url.host).toBe("plain.example:8080");
    expect(proxyFor(url("https://reg.example"), { https_proxy: "http://low.example" })?.url.host).toBe(
      "low.example",
    );
  });

  it("gets the credentials of its own address", () => {
    const { authorization } = proxyFor(url("https://reg.example"), environment) ?? {};
    expect(authorization).toBe(`Basic ${Buffer.from("ann:p@ss").toString("base64")}`);
  });

  it.each(["https://127.0.0.1:5000", "https://localhost", "https://a.localhost", "https://[::1]:5000"])(
    "is none for %s, this machine",
    (address) => expect(proxyFor(url(address), environment)).toBeUndefined(),
  );

  it("is refused by name when it does not CONNECT", () => {
    expect(() => proxyFor(url("https://reg.example"), { HTTPS_PROXY: "socks5://p:1080" })).toThrow(/socks5/);
  });

  it("shows neither user nor password when it can't be read", () => {
    expect(() => proxyFor(url("https://reg.example"), { HTTPS_PROXY: "http://ann:secret@:x" })).toThrow(
      expect.objectContaining({ code: "CONFIG", message: expect.not.stringContaining("secret") }),
    );
  });
});
