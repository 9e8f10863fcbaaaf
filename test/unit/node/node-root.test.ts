import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = mkdtempSync(join(temporaryFolder(), "root-"));
mkdirSync(join(folder, "etc/x"), { recursive: true });
mkdirSync(join(folder, "real"));
writeFileSync(join(folder, "real/file"), "inside");
symlinkSync("/real", join(folder, "etc/absolute"));
symlinkSync("../../../../../real", join(folder, "etc/above"));
symlinkSync("/real/file", join(folder, "etc/file"));
symlinkSync("loop", join(folder, "loop"));
const root = new NodeRoot(`${folder}/`);

test.each([
  ["/etc/absolute/file", "/real/file"],
  ["/etc/above/file", "/real/file"],
  ["/etc/x/../file", "/real/file"],
  ["/etc/x/./none", "/etc/x/none"],
  ["/../..", "/"],
])("%s leads to %s below the root", (path, place) => {
  expect(root.follow(path)).toBe(folder + place);
});

test("the last name is not followed where it is to be replaced", () => {
  expect(root.locate("/etc/file")).toBe(`${folder}/etc/file`);
  expect(root.locate("/etc/absolute/file")).toBe(`${folder}/real/file`);
});

test("files are read, listed and looked for inside", () => {
  expect(Buffer.from(root.read("/etc/file", 100)).toString()).toBe("inside");
  expect(root.list("/etc/absolute")).toEqual(["file"]);
  expect([root.exists("/etc/file"), root.exists("/etc/passwd"), root.isFolder("/etc/above")]).toEqual([
    true,
    false,
    true,
  ]);
  expect(root.isExecutable("/etc/file")).toBe(false);
});

test("40 links are followed, and no more", () => {
  for (let i = 1; i <= 41; i++) symlinkSync(i === 1 ? "real/file" : String(i - 1), join(folder, String(i)));
  expect(root.follow("/40")).toBe(join(folder, "real/file"));
  expect(() => root.follow("/41")).toThrow(expect.objectContaining({ code: "IO" }));
});

test("links without end are refused", () => {
  expect(() => root.follow("/loop/x")).toThrow(expect.objectContaining({ code: "IO" }));
});

test("it knows itself by another path", () => {
  expect(root.isSameAs(join(folder, "etc/.."))).toBe(true);
  expect(root.isSameAs(join(folder, "etc"))).toBe(false);
  expect(root.isSameAs(join(folder, "none"))).toBe(false);
  expect(new NodeRoot("/").isSameAs("/proc/self/root")).toBe(true);
});
