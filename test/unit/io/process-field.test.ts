import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { processField } from "../../../src/io/process-field.ts";
import { temporaryFolder } from "../../support/temporary.ts";

test("a field is found whatever the program's name contains", () => {
  const proc = temporaryFolder();
  mkdirSync(join(proc, "7"));
  writeFileSync(join(proc, "7/stat"), "7 (a) S 1 (b c) R 42 6 5\n");
  expect([3, 4, 6].map((field) => processField(7, field, proc))).toEqual(["R", "42", "5\n"]);
  expect(processField(7, 52, proc)).toBeUndefined();
});

test("this process has its parent's ID, and one that does not exist has none", () => {
  expect(processField(process.pid, 4)).toBe(String(process.ppid));
  expect(processField(0, 4)).toBeUndefined();
});
