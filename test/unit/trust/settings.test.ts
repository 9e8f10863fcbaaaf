import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readGateSettings } from "../../../src/trust/settings.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

describeWith([root], "times of a trust.toml", {}, () => {
  const folder = temporaryFolder();
  const file = join(folder, "trust.toml");
  writeFileSync(join(folder, "policy.json"), "");
  const life = (value: string) => {
    writeFileSync(file, `policy = "${folder}/policy.json"\nverdict_life = ${value}\n`);
    return readGateSettings(file).verdictLifeMs;
  };

  test.each([
    ['"8s"', 8_000],
    ['"500ms"', 500],
    ['"2h"', 7_200_000],
    ["90", 90_000],
  ])("%s", (value, expected) => {
    expect(life(value)).toBe(expected);
  });

  test("a verifier has 8 s, and a verdict lives for a day, unless the file says otherwise", () => {
    expect(readGateSettings(join(folder, "policy.json"))).toMatchObject({
      deadlineMs: 8000,
      verdictLifeMs: 86_400_000,
    });
  });

  const refused = ['"8 s"', '"-8s"', '"8sec"', '"0s"', "true", '["8s"]', "{ toString = 1, valueOf = 1 }"];
  test.each(refused)("%s is refused", (value) => {
    expect(() => life(value)).toThrow(/is not a time such as/);
  });
});
