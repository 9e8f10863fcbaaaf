import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { breakGlassFindings, exceptionFor } from "../../../src/trust/break-glass.ts";
import { parseImageName } from "../../../src/trust/policy/image-name.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const NOW = Date.parse("2026-05-01T12:00:00Z");
const LATER = "2026-05-01T12:00:00.001Z";

describeWith([root], "exceptions from a policy", {}, () => {
  const path = join(temporaryFolder(), "break-glass");
  const write = (...lines: readonly string[]) => {
    writeFileSync(path, lines.join("\n"));
    chmodSync(path, 0o600);
  };

  function reasonFor(text: string): string | undefined {
    const name = parseImageName(text);
    if (name === undefined) throw new Error("bug: the name is malformed");
    return exceptionFor({ transport: "docker", name }, path, NOW)?.reason;
  }

  test("are for their scope, until their time", () => {
    write(
      `  until ${LATER} scope a.test/b reason the first`,
      `until ${LATER} scope a.test reason the second `,
      "until 2026-05-01T12:00:00Z scope b.test reason it is over",
      "until 2026-05-01T14:00:00.001+02:00 scope c.test/d:1 reason of one image",
    );
    expect(reasonFor("a.test/b/c:1")).toBe("the first");
    expect(reasonFor("a.test/c:1")).toBe("the second");
    expect(reasonFor("b.test/c:1")).toBeUndefined();
    expect(reasonFor("c.test/d:1")).toBe("of one image");
    expect(reasonFor("c.test/d:2")).toBeUndefined();
  });

  test.each([
    "# until 2027-01-01T00:00:00Z scope a.test reason x",
    "x until 2027-01-01T00:00:00Z scope a.test reason x",
    "until 2027-01-01 scope a.test reason x",
    "until 2027-01-01T00:00:00 scope a.test reason x",
    "until 2027-02-31T00:00:00Z scope a.test reason x",
    "until 2027-13-01T00:00:00Z scope a.test reason x",
    "until 2027-01-01T00:00:00Z scope a.test",
    "until 2027-01-01T00:00:00Z scope a.test reason ",
    'until 2027-01-01T00:00:00Z scope "" reason x',
  ])("are not made by %j", (line) => {
    write(line);
    expect(reasonFor("a.test/b:1")).toBeUndefined();
  });

  test("are reported while they last, and so are lines that make none", () => {
    write(
      "# a comment",
      "",
      `until ${LATER} scope a.test reason the keys are lost`,
      "until 2026-05-01T12:00:00Z scope b.test reason it is over",
      "until tomorrow scope c.test reason x",
      "x # a comment",
    );
    const hint = "write: until TIME scope SCOPE reason TEXT";
    expect(breakGlassFindings(path, NOW)).toEqual([
      {
        severity: "warning",
        message: `images of a.test are not checked until ${LATER}: the keys are lost`,
        hint: `to end this, remove line 3 of ${path}`,
      },
      { severity: "warning", message: `line 5 of ${path} makes no exception`, hint },
      { severity: "warning", message: `line 6 of ${path} makes no exception`, hint },
    ]);
  });

  test("are not read from a file that others may write, nor without a file", () => {
    write(`until ${LATER} scope a.test reason x`);
    chmodSync(path, 0o622);
    expect(() => reasonFor("a.test/b:1")).toThrow(/others than root may write/);
    expect(breakGlassFindings(`${path}-missing`, NOW)).toEqual([]);
  });
});
