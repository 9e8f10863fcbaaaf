import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { readContainerdConfig } from "../../../src/containerd/config.ts";
import { BUILT_IN, renderStanza } from "../../../src/containerd/stream-processors.ts";
import { containerd, describeWith, output } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

/** Writes files by their paths in a new folder, and returns the path of the first one. */
function write(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(folder, "config-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text.replaceAll("$ROOT", root));
  }
  return join(root, Object.keys(files)[0] ?? "");
}

const processor = (id: string, fields: string) => `[stream_processors."${id}"]\n${fields}\n`;
const GZIP_ID = "io.containerd.ocicrypt.decoder.v1.tar.gzip";

const WITH_IMPORTS = {
  "config.toml": `version = 2
imports = ["conf.d/*.toml", "$ROOT/more/*/x*.toml", "none*.toml", "config.toml"]
${processor(GZIP_ID, 'accepts = ["from-config"]\npath = "/first"\nargs = ["a"]')}
${processor("kept", 'accepts = ["kept"]\npath = "kept"')}
[plugins."io.containerd.grpc.v1.cri"]
max_concurrent_downloads = 5
sandbox_image = "from-config"
`,
  "conf.d/2.toml": processor(GZIP_ID, 'accepts = ["from-2"]\nreturns = "r"\nenv = ["A=B"]'),
  "conf.d/1.toml": `version = 3\nimports = ["deep.txt"]\n${processor(GZIP_ID, 'accepts = ["from-1"]')}`,
  "conf.d/deep.txt": `root = "/data/containerd"\n${processor("deep", 'accepts = ["deep"]')}`,
  "conf.d/other.txt": "not = read",
  "more/a.b/x.toml": `[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "from-x"\n`,
  "more/a.b/y.toml": "not = read",
};

test("imports are followed, entries replaced whole, and plugins' sections merged", () => {
  const path = write(WITH_IMPORTS);
  const config = readContainerdConfig(path);
  const names = config.files.map((file) => file.path.slice(dirname(path).length + 1));
  expect(names).toEqual([
    "config.toml",
    "conf.d/1.toml",
    "conf.d/2.toml",
    "more/a.b/x.toml",
    "conf.d/deep.txt",
  ]);
  expect(config.files.map(({ version }) => version)).toEqual([2, 3, 1, 1, 1]);
  expect(config).toMatchObject({ version: 2, root: "/data/containerd" });
  expect(config.processors.get(GZIP_ID)).toEqual({
    accepts: ["from-2"],
    returns: "r",
    path: "",
    args: [],
    env: ["A=B"],
    file: join(dirname(path), "conf.d/2.toml"),
  });
  expect([...config.processors.keys()].sort()).toEqual([...BUILT_IN.keys(), "deep", "kept"].sort());
  expect(config.plugins).toEqual({
    "io.containerd.grpc.v1.cri": { max_concurrent_downloads: 5, sandbox_image: "from-x" },
  });
});

test("without any entry, containerd has its own", () => {
  const { processors, version } = readContainerdConfig(write({ "config.toml": "" }));
  expect(version).toBe(1);
  expect(new Map(processors)).toEqual(
    new Map([...BUILT_IN].map(([id, it]) => [id, { ...it, file: undefined }])),
  );
});

describe("an invalid file is named with its line, and never quoted", () => {
  test.each([
    ['version = 2\npassword = "secret\n', /config.toml is not valid TOML in line 2, column \d+$/],
    ["version = 2\nversion = 3", /is not valid TOML in line 2/],
    ['version = "two"', /version is not a whole number/],
    ['version = "2"', /version is not a whole number/],
    ["version = true", /version is not a whole number/],
    ["stream_processors = 1", /stream_processors is not a table/],
    ['stream_processors.x = "secret"', /stream_processors."x" is not a table/],
    [processor("x", "path = 1"), /"x": path is not a string/],
    [processor("x", "accepts = [1]"), /"x": accepts is not a list of strings/],
    ["imports = [1]", /imports is not a list of strings/],
    ["imports = 'none.toml'", /imports is not a list/],
    ['imports = ["none.toml"]', /cannot read .*none.toml: no such file/],
  ])("%j", (text, message) => {
    const error = expect.objectContaining({ code: "CONFIG", message: expect.stringMatching(message) });
    expect(() => readContainerdConfig(write({ "config.toml": text }))).toThrow(error);
    expect(() => readContainerdConfig(write({ "config.toml": text }))).not.toThrow(/secret/);
  });

  test("bytes that are not UTF-8", () => {
    const path = write({ "config.toml": "" });
    writeFileSync(path, Buffer.from([0x61, 0xff]));
    expect(() => readContainerdConfig(path)).toThrow(/is not valid TOML: it is not UTF-8/);
  });

  test("imports without end", () => {
    const path = write({ "config.toml": 'imports = ["many/*"]' });
    mkdirSync(join(dirname(path), "many"));
    for (let i = 0; i < 256; i++) writeFileSync(join(dirname(path), `many/${i}`), "");
    expect(readContainerdConfig(path).files).toHaveLength(1 + 256);
    writeFileSync(join(dirname(path), "many/256"), "");
    expect(() => readContainerdConfig(path)).toThrow(expect.objectContaining({ code: "LIMIT" }));
  });
});

interface Dump {
  readonly version: number;
  readonly stream_processors: unknown;
}

describeWith([containerd], "containerd itself", {}, () => {
  /** What containerd makes of a file. */
  async function dump(path: string): Promise<Dump> {
    const text = await output(containerd, ["--config", path, "config", "dump"]);
    return parse(text.toString()) as unknown as Dump;
  }

  const processorsOf = (path: string) =>
    Object.fromEntries(
      [...readContainerdConfig(path).processors].map(([id, { file: _, ...fields }]) => [id, fields]),
    );

  test.each<[string, Readonly<Record<string, string>>]>([
    ["nothing", { "config.toml": "version = 2\n" }],
    ["one entry", { "config.toml": `version = 2\n${processor(GZIP_ID, 'path = "/x"')}` }],
    // containerd 1.6 looks for relative patterns in its working directory.
    [
      "imports",
      { ...WITH_IMPORTS, "config.toml": WITH_IMPORTS["config.toml"].replace('"conf.d/*', '"$ROOT/conf.d/*') },
    ],
  ])("has the same stream processors of %s", async (_what, files) => {
    const path = write(files);
    expect((await dump(path)).stream_processors).toEqual(processorsOf(path));
  });

  test.each([false, true])("reads the stanza (one processor: %s)", async (returnsTar) => {
    const stanza = renderStanza({
      containerd: "1.x",
      returnsTar,
      path: `/opt/a "b"\\c\td/ctd-decoder`,
      keysPath: "/keys é",
      providerConfig: "/p",
    });
    const path = write({ "config.toml": 'version = 2\nimports = ["stanza.toml"]\n', "stanza.toml": stanza });
    const { version, stream_processors } = await dump(path);
    expect(version).toBe(2);
    expect(stream_processors).toEqual(processorsOf(path));
    expect(stream_processors).toHaveProperty([GZIP_ID, "path"], `/opt/a "b"\\c\td/ctd-decoder`);
  });
});
