import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { KeySet } from "../../../src/keys/keyset.ts";
import { keysInScope, matches, readScopes } from "../../../src/tenants/scopes.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "scopes-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function scopesOf(text: string) {
  const path = join(folder, "scopes.yaml");
  writeFileSync(path, text);
  return readScopes(path);
}

describe("a pattern", () => {
  test.each([
    ["r.test/a/*", "r.test/a/app", true],
    ["r.test/a/*", "r.test/a/b/app", false],
    ["r.test/a/*", "r.test/abc/app", false],
    ["r.test/a/**", "r.test/a/b/app", true],
    ["r.test/a/**", "r.test/a", false],
    ["r.test/a/app", "r.test/a/app", true],
    ["r.test/a/app", "evil.r.test/a/app", false],
    ["*/a/app", "r.test/a/app", true],
    ["r.test/**/app", "r.test/a/app", false],
    ["r.test/a/ap.", "r.test/a/app", false],
  ])("%s, and %s: %s", (pattern, path, expected) => {
    expect(matches(pattern, path)).toBe(expected);
  });
});

describe("keys in scope", () => {
  const key = (origin: string) => ({ origin }) as KeySet["keys"][number];
  const set: KeySet = {
    keys: [key("tenant-a/app.pem"), key("tenant-b/app.pem"), key("free.pem")],
    certificates: [],
    keyrings: [],
    tokenKeys: [],
    parameters: new Map(),
    skipped: [],
  };
  const scopes = [
    { keys: "tenant-a/**", repositories: ["r.test/tenant-a/*"] },
    { keys: "tenant-b/**", repositories: ["r.test/tenant-b/*"] },
  ];
  const originsFor = (...repositories: string[]) =>
    keysInScope(set, scopes, repositories).keys.map(({ origin }) => origin);

  test("are those of the layer's repository, and those that no scope names", () => {
    expect(originsFor("r.test/tenant-a/app")).toEqual(["tenant-a/app.pem", "free.pem"]);
  });
  test("leave out a key when a stranger's repository shares the layer", () => {
    expect(originsFor("r.test/tenant-a/app", "r.test/tenant-b/copy")).toEqual(["free.pem"]);
  });
  test("are the free ones where the repository is unknown", () => {
    expect(originsFor()).toEqual(["free.pem"]);
  });
});

describe("a file of scopes", () => {
  test("is read", () => {
    expect(scopesOf("- keys: a/**\n  repositories: [r.test/a/*]\n")).toEqual([
      { keys: "a/**", repositories: ["r.test/a/*"] },
    ]);
  });
  test.each([
    ["nothing", ""],
    ["a mapping", "keys: a"],
    ["no YAML", "- ["],
    ["a scope without repositories", "- keys: a"],
    ["a misspelt field", "- keys: a\n  repositories: [r.test/a]\n  repository: x\n"],
    ["a repository with a port", "- keys: a\n  repositories: ['r.test:5000/a']\n"],
    ["a bare name", "- keys: a\n  repositories: [app]\n"],
  ])("with %s is refused", (_what, text) => {
    expect(() => scopesOf(text)).toThrow(expect.objectContaining({ code: "CONFIG" }));
  });
  test("that is missing is refused", () => {
    expect(() => readScopes(join(folder, "none"))).toThrow(expect.objectContaining({ code: "CONFIG" }));
  });
});
