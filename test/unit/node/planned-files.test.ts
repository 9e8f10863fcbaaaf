import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NodeRoot } from "../../../src/node/node-root.ts";
import { PlannedFiles } from "../../../src/node/planned-files.ts";
import { put, putProgram } from "../../support/node-root.ts";
import { temporaryFolder } from "../../support/temporary.ts";

test("planned files are there beside those of the node", () => {
  const folder = mkdtempSync(join(temporaryFolder(), "root-"));
  put(folder, "/etc/b", "old");
  put(folder, "/etc/c", "old");
  putProgram(folder, "/bin/runc");
  const files = new PlannedFiles(
    new NodeRoot(folder),
    [
      { path: "/etc/a", kind: "config", content: { text: "new" } },
      { path: "/etc/b", kind: "config", content: { text: "new" } },
      { path: "/usr/bin/ctd-decoder", kind: "program", content: { copyOf: "/bin/true" } },
    ],
    ["/etc/keys"],
    "relative:/bin:/usr/bin",
  );
  const texts = ["/etc/a", "/etc/b", "/etc/c"].map((path) => Buffer.from(files.read(path, 100)).toString());
  expect(texts).toEqual(["new", "new", "old"]);
  expect(files.list("/etc")).toEqual(["a", "b", "c"]);
  const paths = ["/etc/a", "/etc/c", "/etc/keys", "/none"];
  expect(paths.map((path) => files.exists(path))).toEqual([true, true, true, false]);
  const programs = ["ctd-decoder", "runc", "/bin/runc", "/etc/a", "none"];
  expect(programs.map((path) => files.findProgram(path))).toEqual([
    "/usr/bin/ctd-decoder",
    "/bin/runc",
    "/bin/runc",
    undefined,
    undefined,
  ]);
});
