import { linkSync, mkdtempSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Verdicts } from "../../../src/tenants/verdicts.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const CHAIN = `sha256:${"a".repeat(64)}`;
const DAY_S = 24 * 60 * 60;

test("at 4,096 verdicts, those that are older than a day are removed", () => {
  const place = mkdtempSync(join(folder, "verdicts-"));
  const old = join(place, "0");
  writeFileSync(old, "");
  utimesSync(old, 0, Date.now() / 1000 - DAY_S - 60);
  // They share one inode with its times.
  for (let i = 1; i < 4095; i++) linkSync(old, join(place, String(i)));
  const verdicts = new Verdicts(place);
  verdicts.add("first", CHAIN);
  expect(readdirSync(place)).toHaveLength(4096);
  verdicts.add("second", CHAIN);
  expect(readdirSync(place)).toHaveLength(2);
  expect(["first", "second", "third"].map((uid) => verdicts.has(uid, CHAIN))).toEqual([true, true, false]);
});
