import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { violations } from "../../scripts/check-layers.ts";
import { PROJECT } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

const folder = temporaryFolder();

/** A small tree in which everything is allowed. */
const GOOD: Readonly<Record<string, string>> = {
  "main.ts":
    'import { decode } from "./decoder.ts";\nconst cli = await import("./cli/cli.ts");\nprocess.exitCode = 0;',
  "decoder.ts": 'import { load } from "./keys/load.ts";\nimport type { A } from "./payload/any.ts";',
  "exit.ts": 'import { E } from "./errors.ts";\nprocess.exitCode = 1;',
  "errors.ts": "export class E {}",
  "secret.ts": "export class Secret {}",
  "io/input.ts": 'import { E } from "../errors.ts";\nconst { pid } = process;',
  "payload/any.ts": 'import { input } from "../io/input.ts";\nconst fd = process.env["FD"];',
  "keys/load.ts": 'import { Secret } from "../secret.ts";',
  "cipher/open.ts": 'import { input } from "../io/input.ts";',
  "keywrap/scheme.ts": 'import type { Key } from "../keys/load.ts";',
  "keywrap/registry.ts": 'export const jwe = () => import("./jwe/unwrap.ts");',
  "keywrap/unwrap.ts": 'import { jwe } from "./registry.ts";',
  "keywrap/jwe/unwrap.ts":
    'import type { S } from "../scheme.ts";\nimport { h } from "./header.ts";\nimport "jose";',
  "keywrap/jwe/header.ts": 'import { load } from "../../keys/load.ts";\nimport { x } from "jose/part";',
  "keywrap/pgp/unwrap.ts": 'import { E } from "../../errors.ts";',
  "transport/layout.ts": 'import { input } from "../io/input.ts";',
  "image/encrypt.ts":
    'import { layout } from "../transport/layout.ts";\nimport { u } from "../keywrap/unwrap.ts";',
  "cli/cli.ts": 'import { encrypt } from "../image/encrypt.ts";\nprocess.stdout.write("");',
};

function violationsWith(changes: Readonly<Record<string, string>>): string[] {
  return violations(new Map(Object.entries({ ...GOOD, ...changes })));
}

test("a tree that keeps the layers has no violation", () => {
  expect(violationsWith({})).toEqual([]);
});

const BAD: readonly [rule: string, file: string, source: string, violation: RegExp][] = [
  ["a leaf imports a layer", "io/x.ts", 'import { l } from "../keys/load.ts";', /io must not import keys/],
  ["types count", "errors.ts", 'import type { I } from "./io/input.ts";', /errors must not import io/],
  ["re-exports count", "keys/x.ts", 'export * from "../keywrap/unwrap.ts";', /keys must not import keywrap/],
  ["import() counts", "keys/x.ts", 'void import("../decoder.ts");', /keys must not import decoder/],
  [
    "import() of a type counts",
    "transport/x.ts",
    'type X = import("../image/encrypt.ts").X;',
    /oci must not import image/,
  ],
  [
    "an import for its effects counts",
    "transport/x.ts",
    'import "../keys/load.ts";',
    /transport must not import keys/,
  ],
  [
    "cipher does not see keys",
    "cipher/x.ts",
    'import { l } from "../keys/load.ts";',
    /cipher must not import keys/,
  ],
  [
    "payload does not see keywrap",
    "payload/x.ts",
    'import "../keywrap/unwrap.ts";',
    /must not import keywrap/,
  ],
  [
    "keywrap does not see cipher",
    "keywrap/x.ts",
    'import "../cipher/open.ts";',
    /keywrap must not import cipher/,
  ],
  ["image does not see cli", "image/x.ts", 'import "../cli/cli.ts";', /image must not import cli/],
  [
    "image does not see the decoder",
    "image/x.ts",
    'import "../decoder.ts";',
    /image must not import decoder/,
  ],
  [
    "decoder does not see transports",
    "decoder/decoder.ts",
    'import "../transport/layout.ts";',
    /decoder must not import transport/,
  ],
  ["nobody sees main", "cli/x.ts", 'import "../main.ts";', /cli must not import main/],
  ["main loads cli lazily", "main.ts", 'import "./cli/cli.ts";', /by import\(\)/],
  ["a folder without a place", "telemetry/x.ts", 'import "../errors.ts";', /telemetry has no place/],
  ["leaving src", "cli/x.ts", 'import "../../scripts/build.ts";', /outside src/],
  [
    "a sibling scheme",
    "keywrap/pgp/x.ts",
    'import "../jwe/header.ts";',
    /pgp must not import its sibling jwe/,
  ],
  ["a sibling scheme, lazily", "keywrap/pgp/x.ts", 'import("../jwe/header.ts");', /its sibling jwe/],
  ["a scheme's driver", "keywrap/pgp/x.ts", 'import "../unwrap.ts";', /sees of keywrap only scheme.ts/],
  ["a scheme named by a driver", "keywrap/unwrap.ts", 'import("./jwe/unwrap.ts");', /only keywrap\/registry/],
  ["a scheme named from above", "image/x.ts", 'import "../keywrap/jwe/header.ts";', /only keywrap\/registry/],
  ["the registry loads at once", "keywrap/registry.ts", 'import "./pgp/unwrap.ts";', /by import\(\) only/],
  [
    "the registry loads a type",
    "keywrap/registry.ts",
    'import type { U } from "./pgp/unwrap.ts";',
    /by import\(\) only/,
  ],
  ["a computed import", "keys/x.ts", "await import(name);", /one literal path/],
  ["a computed import of text", "keys/x.ts", 'await import("./" + name);', /one literal path/],
  [
    "a package in two folders",
    "keywrap/pgp/x.ts",
    'import { y } from "jose";',
    /jose is keywrap\/jwe's alone/,
  ],
  [
    "a package's part in two folders",
    "transport/x.ts",
    'import("jose/other");',
    /jose is keywrap\/jwe's alone/,
  ],
  ["process in keys", "keys/x.ts", "const { env } = process;", /keys must not use process/],
  ["process in the decoder", "decoder.ts", "process.exit(1);", /decoder must not use process/],
  ["process by its module", "keys/x.ts", 'import { env } from "node:process";', /keys must not use process/],
  ["process by globalThis", "keys/x.ts", "globalThis.process.exit();", /keys must not use process/],
  [
    "process in a template",
    "keys/x.ts",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is source text
    "const x = `a ${ { b: process.pid } } c`;",
    /keys must not use process/,
  ],
  ["console", "cli/x.ts", 'console.log("x");', /no console/],
  ["Bun", "io/x.ts", "Bun.file(1);", /no Bun/],
];

test.each(BAD)("%s", (_rule, file, source, violation) => {
  const found = violationsWith({ [file]: `// a comment\n${source}` });
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(violation);
  expect(found[0]).toMatch(new RegExp(`^${file}:2: `));
});

test("a package with a scope counts by both parts of its name", () => {
  expect(violationsWith({ "transport/x.ts": 'import "@a/b";', "cli/x.ts": 'import "@a/c";' })).toEqual([]);
  expect(violationsWith({ "transport/x.ts": 'import "@a/b";', "cli/x.ts": 'import "@a/b/c";' })).toHaveLength(
    1,
  );
});

const HARMLESS: readonly [what: string, source: string][] = [
  ["a comment", '/* import "../main.ts" process console */ // Bun.x process'],
  ["a text", `const a = 'import "../main.ts"; process', b = "console.log \\" Bun.x";`],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is source text
  ["a template's text", 'const a = `process ${b} console ${`${c} Bun.x`} "`;'],
  ["a regular expression", 'const a = /"process[/]console/u.test(b) ? c / d : e / f; // "'],
  ["a member", "a.process(); b.console; const c = { process: 1, console: 2 };"],
  ["Array.from of a text", 'Array.from("../main.ts");'],
];

test.each(HARMLESS)("%s is no violation", (_what, source) => {
  expect(violationsWith({ "keys/x.ts": source })).toEqual([]);
});

function checkTree(name: string, files: Readonly<Record<string, string>>) {
  for (const [file, source] of Object.entries(files)) {
    const path = join(folder, name, "src", file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, source);
  }
  return spawnSync(`${PROJECT}node_modules/.bin/node`, [
    `${PROJECT}scripts/check-layers.ts`,
    join(folder, name),
  ]);
}

test("the script says nothing of a good tree", () => {
  const { status, stderr } = checkTree("good", GOOD);
  expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: "" });
});

test("the script names each violation on a line and fails", () => {
  const { status, stderr } = checkTree("bad", {
    ...GOOD,
    "keys/x.ts": 'import "../main.ts";\nconsole.log(process.pid);',
  });
  expect(status).toBe(1);
  expect(stderr.toString().match(/^src\/keys\/x\.ts:\d: .+$/gm)).toHaveLength(3);
  expect(stderr.toString().split("\n")).toHaveLength(4);
});

test("an empty tree is a failure", () => {
  mkdirSync(join(folder, "empty", "src"), { recursive: true });
  expect(checkTree("empty", {}).status).toBe(1);
});
