import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import {
  addImport,
  hasSameMeaning,
  removeImport,
  removeProcessor,
  setText,
} from "../../../src/node/toml-edit.ts";

const PATH = "/c/ctd-decoder.toml";

describe("an import is added once, last, and nothing else changes", () => {
  test.each([
    ["", `imports = ["${PATH}"]\n`],
    ["my_version = 1\nversion = 2\n", `my_version = 1\nversion = 2\nimports = ["${PATH}"]\n`],
    ["version = 2 # two\n[a]\n", `version = 2 # two\nimports = ["${PATH}"]\n[a]\n`],
    ["x = '''\nversion = 2\n'''\n", `imports = ["${PATH}"]\nx = '''\nversion = 2\n'''\n`],
    ["imports = []", `imports = ["${PATH}"]`],
    ["imports = [ 'a' ]", `imports = [ 'a' , "${PATH}"]`],
    ["imports = ['a',\n  # ]\n]\n", `imports = ['a',\n  # ]\n"${PATH}"]\n`],
    ["imports = ['a]b']", `imports = ['a]b', "${PATH}"]`],
  ])("%j", (before, after) => {
    expect(addImport(before, PATH)).toBe(after);
    const { imports = [], ...rest } = parse(before);
    expect(parse(after)).toEqual({ ...rest, imports: [...(imports as string[]), PATH] });
  });

  test("or not at all", () => {
    expect(addImport('"impo\\u0072ts" = []', PATH)).toBeUndefined();
  });
});

describe("an import is removed, and nothing else changes", () => {
  test.each([
    [`version = 2\nimports = ["${PATH}"]\n# mine\n`, "version = 2\n# mine\n"],
    [`imports = ['${PATH}', "a"]`, 'imports = ["a"]'],
    [`imports = ["a", "${PATH}"]`, 'imports = ["a"]'],
    [`imports = ["a",\n  "${PATH}", # ours\n  "b",\n]`, 'imports = ["a",\n  "b",\n]'],
    [`# "${PATH}"\nimports = ["${PATH}"]\nx = "${PATH}"\n`, `# "${PATH}"\nx = "${PATH}"\n`],
  ])("%j", (before, after) => expect(removeImport(before, PATH)).toBe(after));

  test("or not at all", () => {
    expect(removeImport(`imports = ["/c/ctd-\\u0064ecoder.toml"]`, PATH)).toBeUndefined();
  });
});

describe("a processor is removed, and nothing else changes", () => {
  const table = '[stream_processors."x"]\n  accepts = [\n    "a",\n  ]\n  path = "p"\n';
  test.each([
    [`${table}[b]\n`, "[b]\n"],
    [`[stream_processors]\n  ${table}`, "[stream_processors]\n"],
    [`[stream_processors."y"]\na = 1\n${table}`, '[stream_processors."y"]\na = 1\n'],
    [`a = 1\n\n${table}\n[stream_processors."y"]\n`, 'a = 1\n\n[stream_processors."y"]\n'],
    [`t = """\n${table}"""\n${table}`, `t = """\n${table}"""\n`],
  ])("%j", (before, after) => expect(removeProcessor(before, "x", parse)).toBe(after));

  test.each([
    ["an inline table", 'stream_processors = { x = { path = "p" } }\n'],
    ["a dotted key", 'stream_processors.x.path = "p"\n'],
  ])("or not at all: %s", (_what, text) => expect(removeProcessor(text, "x", parse)).toBeUndefined());
});

test.each<[unknown, unknown, boolean]>([
  [{ a: 1, b: [1] }, { b: [1], a: 1 }, true],
  [{ a: [1, 2] }, { a: [2, 1] }, false],
  [{ a: 1 }, { a: 1, b: 2 }, false],
  [{ a: [] }, { a: {} }, false],
  [{ a: "1" }, { a: 1 }, false],
  [parse("a = 2026-01-01"), parse("a = 2026-01-01"), true],
  [parse("a = 2026-01-01"), parse("a = 2026-01-02"), false],
  [parse("a = nan"), parse("a = nan"), true],
])("%j and %j mean the same: %s", (one, other, expected) =>
  expect(hasSameMeaning(one, other)).toBe(expected),
);

describe("the places that are tried", () => {
  const edit = (text: string, isRight: (candidate: string) => boolean) => {
    const parse = (candidate: string) => (isRight(candidate) ? { key: "new" } : {});
    return setText(text, { path: ["key"], value: "new", blocks: [] }, parse);
  };
  /** Only the last place is right. */
  const isLast = (candidate: string) => candidate.endsWith('key = "new"\n');

  test("are 2,048, and no more", () => {
    expect(edit("[a]\n".repeat(2048), isLast)).toMatch(/^(?:\[a\]\n)+ {2}key = "new"\n$/);
    expect(edit("[a]\n".repeat(2049), isLast)).toBeUndefined();
  });

  test("have 32 MiB of text, and no more", () => {
    // Each of 32 candidates has the text and the new line.
    const textOf = (size: number) => `\n${"[a]\n".repeat(32)}`.padStart(size - '  key = "new"\n'.length, "#");
    expect(edit(textOf(1_048_576), isLast)?.length).toBe(1_048_576);
    expect(edit(textOf(1_048_577), isLast)?.length).toBeUndefined();
  });
});

test("a table among thousands is removed, and a list of thousands is given up", () => {
  const tables = (name: string) => Array.from({ length: 3000 }, (_, i) => `[plugins.${name}${i}]\n`).join("");
  const table = '[stream_processors."x"]\n  path = "p"\n';
  const [before, after] = [tables("a"), tables("b")];
  expect(removeProcessor(before + table + after, "x", parse)).toBe(before + after);
  const imports = Array.from({ length: 20_000 }, (_, i) => `"/a]${i}"`).join(",");
  expect(addImport(`imports = [${imports}]`, PATH)).toBeUndefined();
});

test.each([
  ["", '\n[a]\nkey = "v"\n'],
  ["version = 2\n", 'version = 2\n\n[a]\nkey = "v"\n'],
  ["version = 2", 'version = 2\n\n[a]\nkey = "v"\n'],
])("a text of a missing table comes after %j, in the first block that fits", (before, after) => {
  const blocks = ["[[a]]\n", '[a]\nkey = "v"\n', '[a]\nkey = "v"\n# another\n'];
  const set = (from: readonly string[]) =>
    setText(before, { path: ["a", "key"], value: "v", blocks: from }, (text) => parse(text));
  expect(set(blocks.slice(1))).toBe(after);
  expect(set([])).toBeUndefined();
});

test("a text in a form that cannot be replaced gets no second table", () => {
  const before = '[a]\nkey = "\\u0062"\n';
  const setting = { path: ["a", "key"], value: "v", blocks: ['[a]\nkey = "v"\n'] };
  expect(setText(before, setting, (text) => parse(text))).toBeUndefined();
});

test("lists and tables do not have the same meaning", () => {
  expect(hasSameMeaning([], {})).toBe(false);
  expect(hasSameMeaning({}, [])).toBe(false);
  expect(hasSameMeaning(new Date(0), {})).toBe(false);
  expect(hasSameMeaning({}, new Date(0))).toBe(false);
});
