import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { PROJECT } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();

type Case = readonly [what: string, file: string, source: string];

const ALLOWED: readonly Case[] = [
  [
    "main imports the decoder and loads the commands lazily",
    "main.ts",
    'import "./decoder/x.ts"; void import("./cli/cli.ts");',
  ],
  ["a leaf imports a leaf", "budget.ts", 'import type { E } from "./errors.ts";'],
  [
    "a lower room, with its types",
    "image/x.ts",
    'import type { L } from "../layer/open.ts";\nimport "../keys/x.ts";',
  ],
  ["the own room from a subfolder", "cli/commands/x.ts", 'import "../ui.ts"; import "../../node/x.ts";'],
  ["the own room's subfolder", "containerd/x.ts", 'import { s } from "./store/lookup.ts";'],
  ["the two system rooms import each other", "process/x.ts", 'import "../io/x.ts";'],
  [
    "a scheme imports the interface and lower rooms",
    "keywrap/pgp/x.ts",
    'import "../scheme.ts"; import "../../keys/x.ts"; import "./y.ts";',
  ],
  ["the table loads schemes by import()", "keywrap/schemes.ts", 'void import("./pgp/unwrap.ts");'],
  [
    "the table imports the scheme that nearly every layer has",
    "keywrap/schemes.ts",
    'import "./jwe/unwrap.ts";',
  ],
  ["a package in its folder", "openpgp/x.ts", 'import "openpgp"; import "node:fs";'],
  [
    "import() with attributes",
    "transport/x.ts",
    'void import("zlib-streams/a.wasm", { with: { type: "file" } });',
  ],
  ["comments and strings", "keys/x.ts", "/* process */ const a = 'import \"../main.ts\"; process'; // Bun"],
  ["the text of a template", "keys/x.ts", "const a = `process console Bun`;"],
  ["members and keys", "keys/x.ts", "a.process(); b.Bun; const c = { process: 1 };"],
  ["process where it is allowed", "cli/x.ts", "process.exitCode = 2;"],
];

const REFUSED: readonly Case[] = [
  ["an import of a higher room", "io/x.ts", 'import { l } from "../keys/load.ts";'],
  ["an import of a type", "errors.ts", 'import type { I } from "./io/input.ts";'],
  ["a re-export", "keys/x.ts", 'export * from "../keywrap/unwrap.ts";'],
  ["import()", "keys/x.ts", 'void import("../decoder/decoder.ts");'],
  ["import() of a type", "transport/x.ts", 'type X = import("../image/encrypt.ts").X;'],
  ["typeof import()", "transport/x.ts", 'type X = typeof import("../image/encrypt.ts");'],
  ["an import for its effects", "transport/x.ts", 'import "../keys/load.ts";'],
  ["a detour", "keys/x.ts", 'import "./../cli/x.ts";'],
  ["a detour through the own room", "containerd/store/x.ts", 'import "../../cli/x.ts";'],
  ["cipher importing keywrap", "cipher/x.ts", 'import "../keywrap/unwrap.ts";'],
  ["keywrap importing cipher", "keywrap/x.ts", 'import "../cipher/open.ts";'],
  ["containerd importing keywrap", "containerd/x.ts", 'import "../keywrap/unwrap.ts";'],
  ["registry importing transport", "registry/x.ts", 'import "../transport/reference.ts";'],
  ["trust importing keywrap", "trust/policy/x.ts", 'import "../../keywrap/unwrap.ts";'],
  ["image importing trust", "image/x.ts", 'import "../trust/verdict.ts";'],
  ["image importing the decoder", "image/x.ts", 'import "../decoder/decoder.ts";'],
  ["image importing the commands", "image/x.ts", 'import "../cli/cli.ts";'],
  ["the decoder importing transport", "decoder/x.ts", 'import "../transport/layout.ts";'],
  ["anyone importing main", "cli/x.ts", 'import "../main.ts";'],
  ["main importing the commands at once", "main.ts", 'import "./cli/cli.ts";'],
  ["a room without a row", "telemetry/x.ts", 'import "../errors.ts";'],
  ["a file without a row", "telemetry.ts", 'import "./errors.ts";'],
  ["an import from outside src", "cli/x.ts", 'import "../../scripts/build.ts";'],
  ["a sibling scheme", "keywrap/pgp/x.ts", 'import "../jwe/header.ts";'],
  ["a sibling scheme by import()", "keywrap/pgp/x.ts", 'void import("../jwe/header.ts");'],
  ["a scheme importing the driver", "keywrap/pgp/x.ts", 'import "../unwrap.ts";'],
  ["the driver naming a scheme", "keywrap/unwrap.ts", 'void import("./jwe/unwrap.ts");'],
  ["a higher room naming a scheme", "image/x.ts", 'import "../keywrap/jwe/header.ts";'],
  ["the table importing a scheme at once", "keywrap/schemes.ts", 'import "./pgp/unwrap.ts";'],
  ["the table importing a scheme's type", "keywrap/schemes.ts", 'import type { U } from "./pgp/unwrap.ts";'],
  ["import() of a variable", "keys/x.ts", "void import(name);"],
  ["import() of an expression", "keys/x.ts", 'void import("./" + name);'],
  ["import() of a template", "keys/x.ts", "void import(`./x.ts`);"],
  ["a package outside its folder", "keywrap/pgp/x.ts", 'import { y } from "node-jose";'],
  ["a package's file outside its folder", "keywrap/pgp/x.ts", 'void import("yargs-parser");'],
  ["a package nobody has declared", "cli/x.ts", 'import "left-pad";'],
  ["process in keys", "keys/x.ts", "const { env } = process;"],
  ["process in the decoder", "decoder/x.ts", "process.exit(1);"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is source text
  ["process in a template", "keys/x.ts", "const x = `a ${ { b: process.pid } } c`;"],
  ["process by its module", "cli/x.ts", 'import { env } from "node:process";'],
  ["process by globalThis", "keys/x.ts", "globalThis.process.exit();"],
  ["console", "cli/x.ts", 'console.log("x");'],
  ["Bun", "io/x.ts", "Bun.file(1);"],
];

/** Case → the lint categories reported for it. All cases are linted in one run, each as a tree of its own. */
const reported = new Map<string, string[]>();

beforeAll(() => {
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const config = JSON.parse(readFileSync(`${PROJECT}biome.json`, "utf8"));
  config.vcs.enabled = false;
  config.overrides = [];
  config.plugins = config.plugins.map((plugin: { path: string }) => join(PROJECT, plugin.path));
  write("biome.json", JSON.stringify(config));
  for (const [index, [, file, source]] of [...ALLOWED, ...REFUSED].entries()) {
    write(`${index}/src/${file}`, `// a comment\n${source}\n`);
  }
  write("cycle/src/keys/a.ts", 'import type { B } from "./b.ts";\nexport type A = B;\n');
  write("cycle/src/keys/b.ts", 'import type { A } from "./a.ts";\nexport type B = A;\n');

  const rules = ["plugin", "suspicious/noConsole", "suspicious/noImportCycles"];
  const { stdout } = spawnSync(
    `${PROJECT}node_modules/.bin/biome`,
    ["lint", "--reporter=github", "--max-diagnostics=none", ...rules.map((rule) => `--only=${rule}`)],
    { cwd: folder, encoding: "utf8" },
  );
  for (const [, rule = "", tree = ""] of stdout.matchAll(/title=([\w/]+),file=.*?\/(\w+)\/src\//g)) {
    reported.set(tree, [...(reported.get(tree) ?? []), rule]);
  }
});

test.each(ALLOWED.map(([what], index) => [what, index] as const))("allowed: %s", (_what, index) => {
  expect(reported.get(`${index}`)).toBeUndefined();
});

test.each(REFUSED.map(([what], index) => [what, index + ALLOWED.length] as const))(
  "refused: %s",
  (what, index) => {
    expect(reported.get(`${index}`)).toEqual([what === "console" ? "lint/suspicious/noConsole" : "plugin"]);
  },
);

test("refused: a cycle of types", () => {
  expect(reported.get("cycle")).toEqual(["lint/suspicious/noImportCycles", "lint/suspicious/noImportCycles"]);
});
