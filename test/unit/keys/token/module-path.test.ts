import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findModule } from "../../../../src/keys/token/module-path.ts";
import type { ModulePolicy } from "../../../../src/keys/token/module-policy.ts";
import { parsePkcs11Uri } from "../../../../src/keys/token/uri.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const at = (path: string) => join(folder, path);

for (const directory of ["lib/sub", "library", "distribution", "other", "home", "similar", "prefixed"])
  mkdirSync(at(directory), { recursive: true });
const files = [
  "lib/libhsm2.a",
  "lib/libhsm2.la",
  "lib/libhsm2.so",
  "lib/libhsm2.so.evil",
  "library/libhsm2.so",
  "lib/libhsm.so.1",
  "lib/sub/libdeep.so",
  "lib/my-hsm.so",
  "lib/readme",
  "other/libhsm2.so",
  "similar/ahsm.so",
  "similar/hsm.so",
  "prefixed/ahsm.so",
  "prefixed/libhsm.so",
];
for (const file of files) writeFileSync(at(file), "");
symlinkSync("../other/libhsm2.so", at("distribution/libhsm2.so"));
symlinkSync(at("lib/libhsm2.so"), at("home/allowed.so"));
symlinkSync(at("other/libhsm2.so"), at("home/forbidden.so"));
symlinkSync(at("lib"), at("home/lib"));
symlinkSync("nowhere", at("lib/libdangling.so"));

const policy = (allowed: readonly string[], directories: readonly string[] = []): ModulePolicy => ({
  origin: "test",
  directories: directories.map(at),
  allowed: allowed.map(at),
});
const find = (query: string, ...policies: ModulePolicy[]) =>
  findModule(parsePkcs11Uri(`pkcs11:?${query}`), policies);
const byPath = (path: string) => `module-path=${encodeURIComponent(at(path))}`;
const failure = expect.objectContaining({ code: "PKCS11" });

describe("a module-path", () => {
  test("is allowed by its own path, or its directory's", () => {
    for (const allowed of ["lib/libhsm2.so", "lib/"]) {
      expect(find(byPath("lib/libhsm2.so"), policy([allowed]))).toBe(at("lib/libhsm2.so"));
    }
  });

  test.each([
    ["an empty list", "lib/libhsm2.so", []],
    ["another module", "lib/libhsm2.so", ["lib/libhsm.so.1"]],
    ["a directory without the slash", "lib/libhsm2.so", ["lib"]],
    ["a directory above", "lib/sub/libdeep.so", ["lib/"]],
    ["a module with the same beginning", "lib/libhsm2.so.evil", ["lib/libhsm2.so"]],
    ["a directory with the same beginning", "library/libhsm2.so", ["lib/", "lib"]],
  ])("is not allowed by %s", (_what, path, allowed) => {
    expect(() => find(byPath(path), policy(allowed))).toThrow(failure);
  });

  test("can't leave an allowed directory", () => {
    for (const path of [
      "lib/../other/libhsm2.so",
      "lib/sub/../../other/libhsm2.so",
      "lib//../other/libhsm2.so",
    ]) {
      const query = `module-path=${folder}/${path}`;
      expect(() => find(query, policy(["lib/"]))).toThrow(failure);
    }
    expect(find(`module-path=${folder}/other/../lib/libhsm2.so`, policy(["lib/"]))).toBe(
      at("lib/libhsm2.so"),
    );
  });

  test("is what its symlinks lead to", () => {
    expect(find(byPath("home/allowed.so"), policy(["lib/"]))).toBe(at("lib/libhsm2.so"));
    expect(find(byPath("home/lib/libhsm2.so"), policy(["lib/"]))).toBe(at("lib/libhsm2.so"));
    expect(() => find(byPath("home/forbidden.so"), policy(["lib/"]))).toThrow(failure);
    expect(() => find(byPath("home/lib/../other/libhsm2.so"), policy(["home/"]))).toThrow(failure);
  });

  test("is allowed through a symlink that lies in an allowed directory", () => {
    for (const path of ["distribution/libhsm2.so", "other/libhsm2.so"]) {
      expect(find(byPath(path), policy(["distribution/"]))).toBe(at("other/libhsm2.so"));
    }
  });

  test.each(["lib/absent.so", "lib/libdangling.so", "nowhere/x.so"])(
    "that isn't there is refused: %s",
    (path) => {
      const refused = expect.objectContaining({
        code: "PKCS11",
        message: expect.stringMatching(/ was not found$/),
      });
      expect(() => find(byPath(path), policy(["lib/", "nowhere/"]))).toThrow(refused);
    },
  );

  test("must be absolute, and a file", () => {
    expect(() => find("module-path=libhsm2.so", policy(["lib/"]))).toThrow(failure);
    expect(() => find("module-path=/dev/null", { ...policy([]), allowed: ["/dev/"] })).toThrow(failure);
  });

  test("may be a directory to look for the module-name in", () => {
    expect(find(`${byPath("lib")}&module-name=hsm2`, policy(["lib/"], ["other"]))).toBe(at("lib/libhsm2.so"));
    expect(() => find(byPath("lib"), policy(["lib/"]))).toThrow(failure);
  });
});

describe("a module-name", () => {
  const all = ["lib/", "other/"];

  test.each([
    ["hsm2", "lib/libhsm2.so"],
    ["HSM2", "lib/libhsm2.so"],
    ["libhsm2.so", "lib/libhsm2.so"],
    ["hsm", "lib/libhsm.so.1"],
    ["my-hsm", "lib/my-hsm.so"],
    ["readme", "lib/readme"],
    ["sm2", "lib/libhsm2.so"],
  ])("%s is %s", (name, path) => {
    expect(find(`module-name=${name}`, policy(all, ["lib", "other"]))).toBe(at(path));
  });

  test.each(["hs", "deep", "sub", "lib/libhsm2.so", "../other/libhsm2.so", "", "dangling"])(
    "%j is none",
    (name) => {
      expect(() => find(`module-name=${encodeURIComponent(name)}`, policy(all, ["lib"]))).toThrow(failure);
    },
  );

  test.each([
    ["similar", "similar/hsm.so"],
    ["prefixed", "prefixed/libhsm.so"],
  ])("is the file of exactly this name, in %s, before one that contains it", (directory, path) => {
    expect(find("module-name=hsm", policy([`${directory}/`], [directory]))).toBe(at(path));
  });

  test("is looked for in the directories in order, absent ones left out", () => {
    expect(find("module-name=hsm2", policy(all, ["nowhere", "other", "lib"]))).toBe(at("other/libhsm2.so"));
  });

  test("goes on to the first that is allowed", () => {
    expect(find("module-name=hsm2", policy(["lib/"], ["other", "lib"]))).toBe(at("lib/libhsm2.so"));
  });

  test("needs a directory", () => {
    expect(() => find("module-name=hsm2", policy(all))).toThrow(failure);
  });
});

describe("of several policies", () => {
  test("each has to allow it", () => {
    const query = byPath("lib/libhsm2.so");
    expect(find(query, policy(["lib/"]), policy(["lib/libhsm2.so"]))).toBe(at("lib/libhsm2.so"));
    expect(() => find(query, policy(["lib/"]), policy(["other/"]))).toThrow(failure);
    expect(() => find(query, policy(["other/"]), policy(["lib/"]))).toThrow(failure);
  });

  test("the directories of all are searched", () => {
    expect(find("module-name=hsm2", policy(["other/"], []), policy(["other/"], ["lib", "other"]))).toBe(
      at("other/libhsm2.so"),
    );
  });
});

test("a URI that names no module", () => {
  expect(() => find("", policy(["lib/"], ["lib"]))).toThrow(failure);
});

test("a module's path must be absolute", () => {
  expect(() => find("module-path=lib/libhsm2.so", policy(["lib/"]))).toThrow(/module-path is not absolute/);
});
