import { readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { checkSelfContained } from "../../scripts/bundled-packages.ts";
import { checkHotPath, type Metafile } from "../../scripts/hot-path.ts";
import { describeWith, ours, PROJECT } from "../support/peers.ts";

/** What a decoder call loads today, with a small margin. Raise them only on purpose. */
const MODULES = 46;
const CODE_BYTES = 56_000;
/** The size of the executable without its runtime, mostly bytecode of the commands. */
const ADDED_BYTES = 15_000_000;

describeWith([ours], "what the executable loads for a layer", {}, () => {
  const metafile = JSON.parse(readFileSync(`${PROJECT}dist/metafile.json`, "utf8")) as Metafile;

  test("it is few modules of little code", () => {
    const { modules, bytes } = checkHotPath(metafile);
    expect(modules).toContain("decoder/decoder.ts");
    expect(modules).toContain("keywrap/jwe/unwrap.ts");
    expect(modules.length).toBeLessThanOrEqual(MODULES);
    expect(bytes).toBeLessThanOrEqual(CODE_BYTES);
  });

  test.each([
    ["a package", "node_modules/yargs/index.mjs"],
    ["a command", "src/cli/cli.ts"],
    ["another scheme", "src/keywrap/pgp/unwrap.ts"],
  ])("%s in it would be noticed", (_what, input) => {
    expect(() => checkHotPath(withInput(metafile, input))).toThrow(input);
  });

  test("node:crypto in it would be noticed", () => {
    const [main] = Object.keys(metafile.inputs).filter((name) => name.endsWith("src/main.ts"));
    const imports = [{ path: "node:crypto", kind: "import-statement", external: true }];
    const inputs = { ...metafile.inputs, [main ?? ""]: { imports } };
    expect(() => checkHotPath({ ...metafile, inputs })).toThrow("node:crypto");
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

/** The same build, if the part with main.ts contained that module. */
function withInput(metafile: Metafile, input: string): Metafile {
  const outputs = Object.entries(metafile.outputs).map(([name, output]) =>
    output.entryPoint?.endsWith("src/main.ts")
      ? [name, { ...output, inputs: { ...output.inputs, [input]: {} } }]
      : [name, output],
  );
  return { ...metafile, outputs: Object.fromEntries(outputs) };
}
