import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { describeWith, ours, PROJECT, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

describeWith([ours], "ctd-decoder config", {}, () => {
  const folder = temporaryFolder();

  async function config(...args: string[]) {
    const { exit, stdout, stderr } = await run(ours, ["config", ...args]);
    return { exit, stdout: stdout.toString(), stderr };
  }

  /** The stanza for a containerd, in a file. */
  async function stanzaFile(...args: string[]): Promise<string> {
    const { exit, stdout } = await config("--path", ours.command, "--keys-path", folder, ...args);
    expect(exit).toBe(0);
    const file = join(folder, "config.toml");
    writeFileSync(file, stdout);
    return file;
  }

  test("prints containerd-config.example.toml", async () => {
    const example = readFileSync(join(PROJECT, "containerd-config.example.toml"), "utf8");
    expect(await config()).toEqual({ exit: 0, stdout: example, stderr: "" });
    expect(await config("--containerd", "2.x")).toEqual({ exit: 0, stdout: example, stderr: "" });
  });

  test.each(["1.x", "1.6", "1.7.24"])("prints version 2 for containerd %s", async (version) => {
    expect((await config("--containerd", version)).stdout).toMatch(/^version = 2$/m);
  });

  test("prints the paths of keys, providers and the program", async () => {
    const { stdout } = await config(
      "--keys-path",
      "/k",
      "--path",
      "/p",
      "--provider-config",
      "/c",
      "--returns",
      "tar",
    );
    expect(stdout).toMatch(/^ {2}path = "\/p"$/m);
    expect(stdout).toMatch(/^ {2}args = \["--decryption-keys-path", "\/k", "--returns", "tar"\]$/m);
    expect(stdout).toMatch(/^ {2}env = \["OCICRYPT_KEYPROVIDER_CONFIG=\/c"\]$/m);
  });

  test("paths become absolute, except a name that containerd finds on its PATH", async () => {
    const { stdout } = await config("--keys-path", "k", "--path", "./p", "--provider-config", "c/d");
    for (const path of ["k", "p", "c/d"]) expect(stdout).toContain(resolve(path));
    expect((await config("--path", "ctd-decoder")).stdout).toMatch(/^ {2}path = "ctd-decoder"$/m);
  });

  test("refuses --json without --check", async () => {
    expect(await config("--json")).toMatchObject({
      exit: 2,
      stdout: expect.stringMatching(/"code": "USAGE"/),
      stderr: expect.stringMatching(/--json needs --check/),
    });
  });

  test.each([["3.x"], ["new"], [""]])("refuses --containerd %j", async (version) => {
    const { exit, stdout, stderr } = await config("--containerd", version);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: "" });
    expect(stderr).toMatch(/--containerd takes 1.x, 2.x/);
  });

  test("what it prints passes its check", async () => {
    const file = await stanzaFile("--containerd", "1.x");
    expect(await config("--check", file, "--containerd", "1.7.24")).toEqual({
      exit: 0,
      stdout: `${file}, for containerd 1.7.24: pulls by Kubernetes pass the layer's descriptor\n  ok\n`,
      stderr: "",
    });
    const checked = await config("--check", file, "--json");
    expect(JSON.parse(checked.stdout)).toEqual({
      files: [file],
      containerd: "1.x",
      payload: true,
      findings: [],
    });
  });

  test("a check of a mounted node looks for everything below --root", async () => {
    const root = join(folder, "mounted");
    mkdirSync(join(root, "etc/containerd/conf.d"), { recursive: true });
    writeFileSync(
      join(root, "etc/containerd/config.toml"),
      'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n',
    );
    const { stdout } = await config("--containerd", "1.x", "--path", "/node/only/ctd-decoder");
    writeFileSync(join(root, "etc/containerd/conf.d/ctd.toml"), stdout);
    const check = async () => {
      const args = ["--check", "/etc/containerd/config.toml", "--root", root, "--json"];
      return JSON.parse((await config(...args)).stdout);
    };
    const { files, findings } = await check();
    expect(files).toEqual(["/etc/containerd/config.toml", "/etc/containerd/conf.d/ctd.toml"]);
    expect(
      findings.some(({ message }: { message: string }) => message.includes("/node/only/ctd-decoder")),
    ).toBe(true);
    for (const made of ["node/only", "etc/containerd/ocicrypt/keys"])
      mkdirSync(join(root, made), { recursive: true });
    writeFileSync(join(root, "node/only/ctd-decoder"), "", { mode: 0o755 });
    expect((await check()).findings).toEqual([]);
    expect(await config("--check", "config.toml", "--root", root)).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(
        /--check takes a path on the node, which must be absolute, not "config\.toml"/,
      ),
    });
    expect(await config("--root", root)).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/--check FILE/),
    });
  });

  test("a check that finds an error fails, and says what to do", async () => {
    const file = await stanzaFile();
    writeFileSync(file, readFileSync(file, "utf8").replace(/.*zstd.*\n/, ""));
    const text = await config("--check", file);
    expect(text.exit).toBe(1);
    expect(text.stdout).toMatch(
      /^ {2}error: no stream processor accepts \S+zstd\+encrypted\n {4}`ctd-decoder config` prints/m,
    );
    expect(text.stderr).toMatch(/^ctd-decoder: error: with .* containerd cannot decrypt every image\n$/);
    const json = await config("--check", file, "--json");
    expect(json.exit).toBe(1);
    expect(JSON.parse(json.stdout).findings[0]).toMatchObject({ severity: "error" });
    expect((await config("--check", file, "--quiet")).stdout).toBe("");
  });

  test("a missing file and invalid TOML are reported", async () => {
    expect(await config("--check", join(folder, "none"))).toMatchObject({
      exit: 1,
      stdout: "",
      stderr: expect.stringMatching(/cannot read .*none: no such file/),
    });
    writeFileSync(join(folder, "bad.toml"), 'password = "secret\n');
    const { exit, stderr } = await config("--check", join(folder, "bad.toml"));
    expect(exit).toBe(1);
    expect(stderr).toMatch(/bad.toml is not valid TOML in line 1/);
    expect(stderr).not.toMatch(/secret/);
  });
});
