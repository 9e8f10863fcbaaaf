import fc from "fast-check";
import { expect, test } from "vitest";
import { Parser } from "yargs/helpers";
import BrowserParser from "yargs-parser/browser";
import type { Command } from "../../../src/cli/command.ts";
import { parseArguments } from "../../../src/cli/parse.ts";

const command: Command = {
  name: "do",
  summary: "do it",
  operands: [
    { name: "FROM", completes: "files" },
    { name: "TO", completes: "files", optional: true },
  ],
  options: {
    layer: { help: "", value: "N", repeats: true },
    name: { help: "", value: "NAME" },
    kind: { help: "", value: "KIND", choices: ["a", "b"] },
    quiet: { help: "", alias: "q" },
    number: { help: "", value: "N", alias: "n" },
    "long-name": { help: "", value: "X", alias: "keys" },
  },
  notes: [],
  examples: [],
  run: async () => undefined,
};
const parse = (...args: string[]) => parseArguments(command, args);

test("operands and options may be mixed", () => {
  const args = parse("--name", "n", "from", "--quiet", "to");
  expect([args.operand(0), args.operand(1), args.text("name"), args.flag("quiet")]).toEqual([
    "from",
    "to",
    "n",
    true,
  ]);
});

test("- is an operand, and -- ends the options", () => {
  expect(parse("-", "-").operand(1)).toBe("-");
  expect(parse("--", "--quiet").operand(0)).toBe("--quiet");
});

test("values that look like options or numbers stay what they are", () => {
  const args = parse("x", "--layer", "-1", "--layer=0,2", "--name", "007");
  expect([args.integers("layer", -9, 9), args.text("name")]).toEqual([[-1, 0, 2], "007"]);
});

test("aliases, and the last of several", () => {
  const args = parse("x", "-q", "--keys", "a", "--long-name=b");
  expect([args.flag("quiet"), args.texts("long-name"), args.text("long-name")]).toEqual([
    true,
    ["a", "b"],
    "b",
  ]);
});

test.each([
  ["no operand", []],
  ["too many operands", ["a", "b", "c"]],
  ["an unknown option", ["a", "--foo"]],
  ["an unknown short option", ["a", "-x"]],
  ["an option that objects have", ["a", "--constructor"]],
  ["a negated switch", ["a", "--no-quiet"]],
  ["a part of an option's name", ["a", "--nam", "x"]],
  ["an option without its value", ["a", "--name"]],
  ["an option without its value before another", ["a", "--name", "--quiet"]],
  ["a value that is not one of the choices", ["a", "--kind", "c"]],
  ["a switch with another value than true or false", ["a", "--quiet=maybe"]],
])("%s is wrong usage", (_, args) => {
  const hint = "usage: ctd-decoder do [OPTIONS] FROM [TO]; see ctd-decoder do --help";
  expect(() => parse(...args)).toThrow(expect.objectContaining({ code: "USAGE", hint }));
});

test("-- ends the check of switches, too", () => {
  expect(parse("--", "--quiet=maybe").operand(0)).toBe("--quiet=maybe");
});

test.each([
  ["--nmae", " (did you mean --name?)"],
  ["--kyes", " (did you mean --keys?)"],
  ["--encrypt-layer", " (did you mean --layer?)"],
  ["--decryption-key", ""],
  ["--frobnicate", ""],
])("%s is unknown%s", (option, suggested) => {
  expect(() => parse("a", option)).toThrow(`unknown option ${option}${suggested}`);
});

test("letters may be joined, and a letter takes a value", () => {
  const args = parse("x", "-qn", "-1");
  expect([args.flag("quiet"), args.text("number")]).toEqual([true, "-1"]);
});

test.each(["x", "1.5", "", "10", "-10", "1e0", "0x1"])("%j is not a number from -9 to 9", (text) => {
  const args = parse("a", `--layer=${text}`);
  expect(() => args.integers("layer", -9, 9)).toThrow(expect.objectContaining({ code: "USAGE" }));
});

test("the parser without Node's modules reads the words as yargs' own does", () => {
  const word = fc.oneof(
    fc.constantFrom(
      "--",
      "-",
      "-q",
      "-qn",
      "-n",
      "-n5",
      "--name",
      "--name=",
      "--quiet",
      "--quiet=no",
      "--no-quiet",
    ),
    fc.constantFrom(
      "--layer=0,2",
      "--layer",
      "--unknown",
      "--unknown=1",
      "-x",
      "007",
      "-1",
      "--name.x=1",
      "file",
    ),
    fc.string(),
  );
  const grammar = {
    string: ["layer", "name"],
    boolean: ["quiet"],
    number: ["number"],
    narg: { layer: 1, name: 1 },
    alias: { quiet: "q", number: "n" },
    configuration: { "boolean-negation": false, "dot-notation": false, "parse-numbers": false },
  };
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (words) => {
      const own = BrowserParser.detailed(words, grammar);
      const usual = Parser.detailed(words, grammar);
      expect([own.argv, own.error?.message]).toEqual([usual.argv, usual.error?.message]);
    }),
  );
});
