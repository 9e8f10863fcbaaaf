import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseChallenges } from "../../../src/registry/challenge.ts";

const parse = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe("WWW-Authenticate", () => {
  it.each([
    ["Basic", [["basic", {}]]],
    ['Basic realm="a b"', [["basic", { realm: "a b" }]]],
    [
      'bEaReR Realm="https://a/t?x=1,2",SERVICE=reg',
      [["bearer", { realm: "https://a/t?x=1,2", service: "reg" }]],
    ],
    [
      'Bearer realm="r",scope="repository:a/b:pull,push repository:c:pull"',
      [["bearer", { realm: "r", scope: "repository:a/b:pull,push repository:c:pull" }]],
    ],
    [String.raw`Bearer service="a \"b\" \\"`, [["bearer", { service: String.raw`a "b" \ `.trim() }]]],
    [
      'Negotiate dG9rZW4=, Basic realm="x", Bearer realm = "y" , service=z',
      [
        ["negotiate", {}],
        ["basic", { realm: "x" }],
        ["bearer", { realm: "y", service: "z" }],
      ],
    ],
    [
      "Negotiate, Basic realm=x",
      [
        ["negotiate", {}],
        ["basic", { realm: "x" }],
      ],
    ],
    [",, Basic ,", [["basic", {}]]],
    ["", []],
    ['"quoted"', []],
  ])("reads %s", (header, challenges) => {
    expect(parse(header)).toEqual(challenges);
  });

  it("keeps the first of two parameters of one name", () => {
    expect(parse('Bearer realm="https://good/", realm="https://evil/"')).toEqual([
      ["bearer", { realm: "https://good/" }],
    ]);
  });

  it("reads what it is written from", () => {
    const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,10}$/);
    const parameters = fc.dictionary(
      token.map((name) => name.toLowerCase()),
      fc.string(),
      { minKeys: 1, maxKeys: 4 },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(token, parameters), { minLength: 1, maxLength: 3 }), (challenges) => {
        const quote = (value: string) => `"${value.replace(/["\\]/g, "\\$&")}"`;
        const header = challenges
          .map(
            ([scheme, values]) =>
              `${scheme} ${Object.entries(values)
                .map(([name, value]) => `${name}=${quote(value)}`)
                .join(",")}`,
          )
          .join(", ");
        // Header values hold no line breaks.
        fc.pre(!/[\r\n\u2028\u2029]/.test(header));
        expect(parse(header)).toEqual(
          challenges.map(([scheme, values]) => [scheme.toLowerCase(), { ...values }]),
        );
      }),
    );
  });

  it("ends for any header", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'Basic =,"\\\t;x/+~'), maxLength: 200 }), (header) => {
        expect(parseChallenges(header).length).toBeLessThanOrEqual(header.length);
      }),
    );
  });
});
