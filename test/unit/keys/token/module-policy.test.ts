import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Parameters } from "../../../../src/keys/keyset.ts";
import { loadPolicies } from "../../../../src/keys/token/module-policy.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
const cwd = process.cwd();
const failure = expect.objectContaining({ code: "PKCS11" });

const lists = (path: string) => `module-directories: [${path}]\nallowed-module-paths: [${path}, /x.so]\n`;
const config = (path: string) =>
  `pkcs11: {module-directories: [${path}], allowed-module-paths: [${path}, /x.so]}\n`;
const policy = (origin: string, path: string) => ({ origin, directories: [path], allowed: [path, "/x.so"] });

function write(name: string, content: string): string {
  const file = join(folder, name);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, content);
  return file;
}

function payload(...values: (string | null)[]): Parameters {
  return new Map([
    ["pkcs11-config", values.map((value) => (value === null ? null : new TextEncoder().encode(value)))],
  ]);
}

const none: Parameters = new Map();

describe("this machine's policy", () => {
  test("internal: the distributions' folders", () => {
    const [internal, ...more] = loadPolicies({ OCICRYPT_CONFIG: "internal" }, none);
    expect(more).toEqual([]);
    expect(internal?.allowed).toEqual(internal?.directories);
    expect(internal?.allowed).toContain("/usr/lib/softhsm/");
    expect(internal?.allowed.every((path) => /^\/usr\/(local\/)?lib[a-z0-9_/-]*\/$/.test(path))).toBe(true);
  });

  test("the file that OCICRYPT_CONFIG names, before all others", () => {
    const named = write("named.yaml", config("/named/"));
    write("xdg/ocicrypt.conf", config("/xdg/"));
    const environment = { OCICRYPT_CONFIG: named, XDG_CONFIG_HOME: join(folder, "xdg") };
    expect(loadPolicies(environment, none)).toEqual([policy(named, "/named/")]);
  });

  test("XDG_CONFIG_HOME's, then HOME's", () => {
    const xdg = write("xdg/ocicrypt.conf", config("/xdg/"));
    const home = write("home/.config/ocicrypt.conf", config("/home/"));
    const environment = { XDG_CONFIG_HOME: join(folder, "xdg"), HOME: join(folder, "home") };
    expect(loadPolicies(environment, none)).toEqual([policy(xdg, "/xdg/")]);
    expect(loadPolicies({ ...environment, XDG_CONFIG_HOME: "/nowhere" }, none)).toEqual([
      policy(home, "/home/"),
    ]);
    expect(loadPolicies({ ...environment, XDG_CONFIG_HOME: "" }, none)).toEqual([policy(home, "/home/")]);
  });

  test("absent lists allow nothing", () => {
    const file = write("empty.yaml", "pkcs11: {}\nother: 1\n");
    expect(loadPolicies({ OCICRYPT_CONFIG: file }, none)).toEqual([
      { origin: file, directories: [], allowed: [] },
    ]);
  });

  test("an alias for the same list", () => {
    const file = write(
      "alias.yaml",
      "pkcs11:\n  module-directories: &d\n  - /d/\n  allowed-module-paths: *d\n",
    );
    expect(loadPolicies({ OCICRYPT_CONFIG: file }, none)).toMatchObject([
      { directories: ["/d/"], allowed: ["/d/"] },
    ]);
  });

  test.each([
    ["", "an empty file"],
    ["module-directories: [/d/]", "a payload's form"],
    ["pkcs11: [/d/]", "not a mapping"],
    ["pkcs11: {allowed-module-paths: /d/}", "not a list"],
    ["pkcs11: {allowed-module-paths: [lib/]}", "a relative path"],
    ["pkcs11: {module-directories: [[/d/]]}", "a list in the list"],
    ["pkcs11: {", "not a YAML"],
    [`pkcs11: {} #${" ".repeat(16 * 1024)}`, "too many bytes"],
  ])("%j is refused: %s", (content) => {
    const file = write("bad.yaml", content);
    expect(() => loadPolicies({ OCICRYPT_CONFIG: file }, payload(lists("/p/")))).toThrow(failure);
  });

  test("a file that was named and is not there opens no other way", () => {
    const environment = { OCICRYPT_CONFIG: join(folder, "absent.yaml"), HOME: join(folder, "home") };
    expect(() => loadPolicies(environment, payload(lists("/p/")))).toThrow(failure);
  });
});

describe("nothing is relative to the working directory", () => {
  const place = join(folder, "cwd");
  beforeEach(() => {
    for (const name of [
      "ocicrypt.conf",
      "etc/ocicrypt.conf",
      ".config/ocicrypt.conf",
      "xdg/ocicrypt.conf",
      "internal",
    ]) {
      write(`cwd/${name}`, config("/evil/"));
    }
    process.chdir(place);
  });
  afterEach(() => {
    process.chdir(cwd);
    rmSync(place, { recursive: true });
  });

  test.each([
    ["a file's name", { OCICRYPT_CONFIG: "ocicrypt.conf" }],
    ["a relative path", { OCICRYPT_CONFIG: "./ocicrypt.conf" }],
    ["relative folders", { XDG_CONFIG_HOME: "xdg", HOME: "." }],
    ["no folder", { XDG_CONFIG_HOME: "", HOME: "" }],
  ])("%s", (_what, environment) => {
    expect(() => loadPolicies(environment, none)).toThrow(failure);
  });

  test("internal is no file", () => {
    expect(loadPolicies({ OCICRYPT_CONFIG: "internal" }, none)[0]?.allowed).not.toContain("/evil/");
  });
});

describe("the payload's policy", () => {
  const origin = "the payload's pkcs11-config";

  test("holds alone where this machine has none", () => {
    expect(loadPolicies({}, payload(null, "", lists("/p/"), lists("/q/")))).toEqual([policy(origin, "/p/")]);
  });

  test("can't allow what this machine's doesn't: both hold", () => {
    const file = write("host.yaml", config("/host/"));
    expect(loadPolicies({ OCICRYPT_CONFIG: file }, payload(lists("/p/")))).toEqual([
      policy(file, "/host/"),
      policy(origin, "/p/"),
    ]);
  });

  test.each(["module-directories: {}", "allowed-module-paths: [x]", "[", "- /p/", "a: #".padEnd(16_385)])(
    "%j is refused",
    (yaml) => {
      expect(() => loadPolicies({}, payload(yaml))).toThrow(failure);
    },
  );
});

test("a payload's policy of one byte is refused, whatever this machine allows", () => {
  expect(() => loadPolicies({ OCICRYPT_CONFIG: "internal" }, payload("x"))).toThrow(failure);
});

test("a payload's policy may have 16 KiB", () => {
  expect(loadPolicies({}, payload(`${lists("/p/")}#`.padEnd(16_384)))).toHaveLength(1);
});

test("without any, nothing is allowed", () => {
  expect(() => loadPolicies({}, none)).toThrow(failure);
  expect(() => loadPolicies({}, payload(null))).toThrow(failure);
});

test.each([
  ["module-directories: [/a/, [b]]", "has a module-directories that is not a list of absolute paths"],
  ["allowed-module-paths: [/a/, b]", "has a allowed-module-paths that is not a list of absolute paths"],
  ["module-directories: {a: b}", "has a module-directories that is not a list of absolute paths"],
  ["- /a/", "is not a YAML mapping with the lists of modules"],
])("a policy with %s is refused", (text, problem) => {
  expect(() => loadPolicies({}, payload(text))).toThrow(
    expect.objectContaining({ code: "PKCS11", message: `the payload's pkcs11-config ${problem}` }),
  );
});

test("the first payload's policy that says something counts", () => {
  const origin = "the payload's pkcs11-config";
  expect(loadPolicies({}, payload(null, "", lists("/a/"), lists("/b/")))).toEqual([policy(origin, "/a/")]);
});
