import { expect, test } from "vitest";
import { matchesImport, resolveImport } from "../../../src/containerd/config-files.ts";

const FOLDER = "/etc/containerd";

test.each([
  ["*.toml", "a.toml", true],
  ["*.toml", ".toml", true],
  ["*.toml", "a.toml.old", false],
  ["a*.toml", "b.toml", false],
  ["*", "x", true],
  ["a*b", "ab", true],
  ["ab*ba", "aba", false],
  ["a*a", "a", false],
  ["*a*b*", "xaxbx", true],
  ["*a*b*", "xbxax", false],
  ["*.to+l", "a.tool", false],
  ["**.toml", "a.toml", true],
  ["a.toml", "a.toml", true],
  ["a.toml", "a.toml2", false],
])("%s matches %s: %s", (pattern, name, isMatch) => {
  expect(matchesImport(`${FOLDER}/${pattern}`, `${FOLDER}/${name}`)).toBe(isMatch);
  const files = { read: () => new Uint8Array(), list: () => [name] };
  const found = resolveImport(pattern, `${FOLDER}/config.toml`, files);
  if (pattern.includes("*")) expect(found).toEqual(isMatch ? [`${FOLDER}/${name}`] : []);
});

test("no pattern takes long", () => {
  const pattern = `${FOLDER}/${"*a".repeat(60)}b.toml`;
  expect(matchesImport(pattern, `${FOLDER}/${"a".repeat(250)}.toml`)).toBe(false);
});
