import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lastRefusals } from "../../../src/node/refusals.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = mkdtempSync(join(temporaryFolder(), "journal-"));

/** Refusals of a journal with these entries. */
async function refusals(entries: readonly unknown[], end = ""): Promise<readonly object[]> {
  const lines = entries.map((it) => (typeof it === "string" ? it : JSON.stringify(it)));
  writeFileSync(join(folder, "entries"), lines.map((it) => `${it}\n`).join(""));
  const path = join(folder, "journalctl");
  writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "$@" >'${folder}/args'\ncat '${folder}/entries'\n${end}\n`);
  chmodSync(path, 0o755);
  return await lastRefusals({ PATH: `${folder}:/usr/bin:/bin` });
}

const entry = (MESSAGE: unknown, time: unknown = "1700000000123456") => ({
  MESSAGE,
  __REALTIME_TIMESTAMP: time,
});

test("the journal's entries are read as texts or bytes, with their time", async () => {
  const time = "2023-11-14T22:13:20.123Z";
  expect(await refusals([entry("one"), entry([...Buffer.from("zwei")])])).toEqual([
    { time, message: "one" },
    { time, message: "zwei" },
  ]);
});

test("entries that are not refusals are passed over", async () => {
  expect(await refusals(["no JSON", "[]", entry(1), entry("x", "soon"), entry("y", 0)])).toEqual([
    { time: "1970-01-01T00:00:00.000Z", message: "y" },
  ]);
});

test("the last five count", async () => {
  const all = Array.from({ length: 7 }, (_, i) => entry(String(i)));
  expect(await refusals(all)).toMatchObject(["2", "3", "4", "5", "6"].map((message) => ({ message })));
});

test("without a journal there are none", async () => {
  expect(await lastRefusals({ PATH: join(folder, "none") })).toEqual([]);
  expect(await lastRefusals({})).toEqual([]);
  expect(await refusals([], "exit 1")).toEqual([]);
});
