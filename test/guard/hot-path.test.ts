import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { checkSelfContained } from "../../scripts/bundled-packages.ts";
import { checkCommandLine, checkHotPath, type Metafile } from "../../scripts/hot-path.ts";
import { describeWith, ours, PROJECT } from "../support/peers.ts";

/** What a decoder call loads today, with a small margin. Raise them only on purpose. */
const MODULES = 46;
const CODE_BYTES = 56_500;
const PARTS = 2;
const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/g;
/** The size of the executable without its runtime, mostly bytecode of the commands. */
const ADDED_BYTES = 15_000_000;

describeWith([ours], "what the executable loads for a layer", {}, () => {
  const metafile = JSON.parse(readFileSync(`${PROJECT}dist/metafile.json`, "utf8")) as Metafile;

  test("it is few modules of little code", () => {
    const { modules, bytes, parts } = checkHotPath(metafile);
    expect(modules).toContain("decoder/decoder.ts");
    expect(modules).toContain("keywrap/jwe/unwrap.ts");
    expect(modules.length).toBeLessThanOrEqual(MODULES);
    expect(bytes).toBeLessThanOrEqual(CODE_BYTES);
    expect(parts).toBeLessThanOrEqual(PARTS);
  });

  test("none of them names Buffer, which loads 86 functions", () => {
    const { modules } = checkHotPath(metafile);
    const code = modules.map((module) =>
      readFileSync(`${PROJECT}src/${module}`, "utf8").replace(COMMENT, ""),
    );
    expect(modules.filter((_, i) => /\bBuffer\b/.test(code[i] ?? ""))).toEqual([]);
  });

  test("the runtime has all its file functions", () => {
    const source = readFileSync(`${PROJECT}src/process/files.ts`, "utf8");
    const names = [...source.matchAll(/^ {2}(?:\| "(\w+Sync)"|(\w+Sync)\()/gm)].map(
      ([, name, method]) => name ?? method,
    );
    expect(names).toEqual(expect.arrayContaining(["openSync", "realpathNativeSync"]));
    const script = `const own = process.getBuiltinModule("internal/fs/binding");
      console.log(${JSON.stringify(names)}.filter((name) => typeof own[name] !== "function").join());`;
    const bun = `${PROJECT}node_modules/.bin/bun`;
    const { stdout } = spawnSync(bun, ["--expose-internals", "-e", script], { encoding: "utf8" });
    expect(stdout).toBe("\n");
  });

  test.each([
    ["a package", "node_modules/yargs/index.mjs"],
    ["a command", "src/cli/cli.ts"],
    ["another scheme", "src/keywrap/pgp/unwrap.ts"],
  ])("%s in it would be noticed", (_what, input) => {
    expect(() => checkHotPath(withInput(metafile, input))).toThrow(input);
  });

  test.each(["node:crypto", "node:fs", "node:path"])("%s in it would be noticed", (builtin) => {
    const changed = withImport(metafile, "src/main.ts", builtin);
    expect(() => checkHotPath(changed)).toThrow(builtin);
  });

  test("node:tty in what each command loads would be noticed", () => {
    expect(() => checkCommandLine(metafile)).not.toThrow();
    const changed = withImport(metafile, "src/cli/commands/keygen.ts", "node:tty");
    expect(() => checkCommandLine(changed)).toThrow("keygen.ts loads node:tty for every command");
  });

  test("a package outside of the executable would be noticed", () => {
    expect(() => checkSelfContained(metafile)).not.toThrow();
    const inputs = {
      "src/main.ts": { imports: [{ path: "pkcs11js", kind: "dynamic-import", external: true }] },
    };
    expect(() => checkSelfContained({ ...metafile, inputs })).toThrow("pkcs11js");
  });

  test("the executable is hardly larger than the runtime in it", () => {
    const runtime = statSync(`${PROJECT}node_modules/.bin/bun`).size;
    expect(statSync(ours.command).size - runtime).toBeLessThanOrEqual(ADDED_BYTES);
  });
});

/** The same build, if a module imported nothing but a builtin. */
function withImport(metafile: Metafile, module: string, builtin: string): Metafile {
  const input = Object.keys(metafile.inputs).find((name) => name.endsWith(module)) ?? "";
  const imports = [{ path: builtin, kind: "import-statement", external: true }];
  return { ...metafile, inputs: { ...metafile.inputs, [input]: { imports } } };
}

/** The same build, if the part with main.ts contained that module. */
function withInput(metafile: Metafile, input: string): Metafile {
  const outputs = Object.entries(metafile.outputs).map(([name, output]) =>
    output.entryPoint?.endsWith("src/main.ts")
      ? [name, { ...output, inputs: { ...output.inputs, [input]: {} } }]
      : [name, output],
  );
  return { ...metafile, outputs: Object.fromEntries(outputs) };
}
