import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentLength, contentRangeStart, nextPage } from "../../../src/registry/ranges.ts";

describe("Content-Range and Content-Length", () => {
  it("reads where a part begins", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.option(fc.nat()), (start, more, size) => {
        expect(contentRangeStart(`bytes ${start}-${start + more}/${size ?? "*"}`)).toBe(start);
      }),
    );
  });

  it.each([
    undefined,
    "",
    "bytes */10",
    "bytes 5-4/10",
    "items 0-1/2",
    "bytes 0-1",
    "bytes -1-2/3",
    `bytes 0-${"9".repeat(17)}/*`,
  ])("makes nothing of %s", (header) => expect(contentRangeStart(header)).toBeUndefined());

  it.each([
    ["0", 0],
    ["17", 17],
    ["-1", undefined],
    ["1e3", undefined],
    ["", undefined],
    ["9".repeat(17), undefined],
  ])("reads the length %s", (header, length) => expect(contentLength(header)).toBe(length));
});

describe("Link", () => {
  const page = new URL("https://reg.example/v2/app/tags/list?n=2");

  it.each([
    ['</v2/app/tags/list?last=b&n=2>; rel="next"', "https://reg.example/v2/app/tags/list?last=b&n=2"],
    ["<list?n=2>;rel=next", "https://reg.example/v2/app/tags/list?n=2"],
    ['<https://reg.example/x>; rel="prev", </y>; title="a;b"; rel="next"', "https://reg.example/y"],
    ['<https://evil.example/>; rel="next"', undefined],
    ['<http://reg.example/>; rel="next"', undefined],
    ['<https://reg.example:444/>; rel="next"', undefined],
    ['</y>; rel="last"', undefined],
    ["</y", undefined],
    ["", undefined],
    [undefined, undefined],
  ])("of %s leads to %s", (header, next) => {
    expect(nextPage(header, page)?.href).toBe(next);
  });

  it("never leads to another origin", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."htps:/.reg@evil?#x") })),
        (target) => {
          const next = nextPage(`<${target}>; rel="next"`, page);
          expect(next === undefined || next.origin === page.origin).toBe(true);
        },
      ),
    );
  });
});
