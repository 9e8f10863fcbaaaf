import { createPublicKey, generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { thumbprint } from "../../src/keys/thumbprint.ts";
import { encryptFor } from "../support/encrypted.ts";
import { writeBlob, writeManifest } from "../support/images.ts";
import { describeWith, goDecoder, openssl, ours, output, type Peer, root, run } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

interface Report {
  readonly healthy: boolean;
  readonly keys: { readonly rows: readonly Record<string, string>[]; readonly findings: readonly unknown[] };
  readonly providers: { readonly providers: readonly Record<string, string>[] };
  readonly selfTest: readonly Record<string, string>[];
  readonly image?: { readonly platforms: readonly { readonly layers: readonly Record<string, unknown>[] }[] };
  readonly decoder?: { readonly findings: readonly Record<string, string>[] };
  readonly findings: readonly Record<string, string>[];
}

describeWith([ours, openssl], "ctd-decoder doctor", {}, () => {
  const folder = temporaryFolder();
  const template = join(folder, "template");

  beforeAll(async () => {
    mkdirSync(join(template, "keys"), { recursive: true });
    await output(ours, ["keygen", join(template, "keys/ec.pem")]);
    await output(ours, [
      "keygen",
      "--type",
      "rsa",
      "--bits",
      "2048",
      "--format",
      "jwk",
      join(template, "keys/rsa.jwk"),
    ]);
    const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=node", "-days", "2"];
    const files = ["-keyout", join(template, "keys/node.key"), "-out", join(template, "keys/node.crt")];
    await output(openssl, [...request, ...files]);
  });

  /** A node's files: keys, and a configuration that names them and this decoder. */
  async function newNode(program: Peer = ours): Promise<string> {
    const node = mkdtempSync(join(folder, "node-"));
    cpSync(template, node, { recursive: true });
    for (const key of ["ec.pem", "rsa.jwk", "node.key"]) chmodSync(join(node, "keys", key), 0o600);
    const paths = ["--keys-path", join(node, "keys"), "--provider-config", join(node, "providers.json")];
    const stanza = await output(ours, ["config", "--containerd", "1.x", "--path", program.command, ...paths]);
    writeFileSync(join(node, "config.toml"), stanza);
    writeFileSync(join(node, "providers.json"), '{"key-providers":{}}');
    return node;
  }

  async function doctor(
    node: string,
    ...args: string[]
  ): Promise<{ exit: number | null; report: Report; all: string }> {
    const options = ["--config", join(node, "config.toml"), "--containerd", "1.7", "--json", ...args];
    const { exit, stdout, stderr } = await run(ours, ["doctor", ...options]);
    return { exit, report: JSON.parse(stdout.toString()), all: stdout.toString() + stderr };
  }

  test("names the first error where it prints nothing else", async () => {
    const node = await newNode();
    const config = join(node, "config.toml");
    const args = ["doctor", "-q", "--config", config, "--containerd", "1.7", "--image", "oci:/nowhere"];
    const { exit, stdout, stderr } = await run(ours, args);
    expect([exit, stdout.toString()]).toEqual([1, ""]);
    expect(stderr).toMatch(
      /^ctd-decoder: error: this node cannot pull every encrypted image: .*\/nowhere.*\nctd-decoder: hint: .+\n$/,
    );
  });

  test("a node with keys is healthy, each key tried through the decoder", async () => {
    const node = await newNode();
    const { exit, report } = await doctor(node);
    expect(exit).toBe(0);
    expect(report).toMatchObject({ healthy: true, config: { findings: [], payload: true } });
    expect(report.selfTest).toEqual([
      { key: "ec.pem", scheme: "jwe" },
      { key: "node.key", scheme: "jwe" },
      { key: "rsa.jwk", scheme: "jwe" },
      { key: "node.crt", scheme: "pkcs7" },
    ]);
    const text = await run(ours, ["doctor", "--config", join(node, "config.toml"), "--containerd", "1.7"]);
    expect(text.exit).toBe(0);
    expect(text.stdout.toString()).toMatch(
      /ec\.pem \(jwe\): ok\n[\s\S]*\nhealthy, for a containerd that is started/,
    );
  });

  test("keys are described as by openssl and JWK tools", async () => {
    const node = await newNode();
    const { report } = await doctor(node);
    const ec = createPublicKey(readFileSync(join(node, "keys/ec.pem"))).export({ format: "jwk" });
    const { kid } = JSON.parse(readFileSync(join(node, "keys/rsa.jwk"), "utf8"));
    const row = (file: string) => report.keys.rows.find((it) => it["file"] === file);
    expect(row("ec.pem")).toEqual({
      file: "ec.pem",
      kind: "EC P-256",
      kid: thumbprint({ ...ec }),
      mode: "0600",
    });
    expect(row("rsa.jwk")).toMatchObject({ kind: "RSA 2048", kid });
    expect(row("node.crt")).toMatchObject({ kind: "X.509 certificate", subject: "CN=node" });
    expect(row("ec.pem.pub")).toMatchObject({ skipped: "a public key" });
  });

  test("nothing secret is printed, nothing is changed, and nothing is left behind", async () => {
    const node = await newNode();
    const list = () =>
      readdirSync(node, { recursive: true, encoding: "utf8" })
        .sort()
        .map((name) => [name, statSync(join(node, name)).mtimeMs]);
    const scratch = mkdtempSync(join(folder, "scratch-"));
    vi.stubEnv("TMPDIR", scratch);
    onTestFinished(() => void vi.unstubAllEnvs());
    const before = list();
    const { all } = await doctor(node);
    expect(list()).toEqual(before);
    expect(readdirSync(scratch)).toEqual([]);
    for (const file of ["ec.pem", "node.key"]) {
      const [, secret = ""] = readFileSync(join(node, "keys", file), "utf8").split("\n");
      expect(secret.length).toBeGreaterThan(40);
      expect(all).not.toContain(secret.slice(0, 40));
    }
    expect(all).not.toContain(JSON.parse(readFileSync(join(node, "keys/rsa.jwk"), "utf8")).d);
  });

  test("without a private key, or with none that works, it is not healthy", async () => {
    const node = await newNode();
    mkdirSync(join(node, "empty"));
    const empty = await doctor(node, "--keys-path", join(node, "empty"));
    expect(empty).toMatchObject({ exit: 1, report: { healthy: false, selfTest: [] } });
    expect(empty.report.keys.findings).toContainEqual(
      expect.objectContaining({ severity: "error", message: expect.stringMatching(/no usable private key/) }),
    );
    expect((await doctor(node, "--keys-path", join(node, "none"))).exit).toBe(1);
    const args = ["--config", join(node, "config.toml"), "--containerd", "1.7"];
    const { stdout } = await run(ours, ["doctor", ...args, "--keys-path", join(node, "empty")]);
    expect(stdout.toString()).toMatch(/self-test with 0 keys\n {2}not run: it needs a private key\n/);
  });

  test("the keys path may be one file, on the command line and in containerd's configuration", async () => {
    const node = await newNode();
    const config = join(node, "config.toml");
    const keys = join(node, "keys");
    const named = await doctor(node, "--keys-path", join(keys, "ec.pem"));
    expect(named).toMatchObject({ exit: 0, report: { selfTest: [{ key: "ec.pem", scheme: "jwe" }] } });
    expect(named.report.keys.rows).toEqual([expect.objectContaining({ file: "ec.pem", mode: "0600" })]);
    const text = readFileSync(config, "utf8").replaceAll(`"${keys}"`, `"${join(keys, "rsa.jwk")}"`);
    writeFileSync(config, text);
    chmodSync(join(keys, "rsa.jwk"), 0o640);
    const configured = await doctor(node);
    expect(configured).toMatchObject({ exit: 0, report: { selfTest: [{ key: "rsa.jwk", scheme: "jwe" }] } });
    expect(configured.report.keys.findings).toEqual([
      expect.objectContaining({ severity: "warning", hint: `chmod 600 ${join(keys, "rsa.jwk")}` }),
    ]);
  });

  test("a keys path that is not a key, or below a file, is reported", async () => {
    const node = await newNode();
    const file = join(node, "providers.json");
    for (const path of [file, join(file, "none")]) {
      const { exit, report } = await doctor(node, "--keys-path", path);
      expect({ exit, selfTest: report.selfTest }).toEqual({ exit: 1, selfTest: [] });
      expect(report.keys.rows).toEqual([expect.objectContaining({ skipped: expect.any(String) })]);
      expect(report.keys.findings).toContainEqual(
        expect.objectContaining({ message: `${path} has no usable private key` }),
      );
    }
  });

  test("without an installed decoder, the hint names the command that installs one", async () => {
    const node = await newNode({
      name: "a decoder that isn't there",
      command: join(folder, "none"),
      args: [],
    });
    const { exit, stdout } = await run(ours, [
      "doctor",
      ...["--config", join(node, "config.toml"), "--containerd", "1.7"],
    ]);
    expect(exit).toBe(1);
    expect(stdout.toString()).toMatch(/runs ".*\/none" .*is not an executable\n.*ctd-decoder install/);
    expect(stdout.toString()).toMatch(/no decoder is .*tested\n.*ctd-decoder install/);
    expect(stdout.toString()).toMatch(/not run: it needs a decoder that is installed and configured\n/);
  });

  test("a decoder that cannot decrypt is reported", async () => {
    const broken = join(folder, "ctd-decoder-broken");
    writeFileSync(broken, "#!/bin/sh\necho it broke >&2\nexit 1\n");
    chmodSync(broken, 0o755);
    const node = await newNode({ name: "a broken decoder", command: broken, args: [] });
    const { exit, report } = await doctor(node);
    expect(exit).toBe(1);
    expect(report.selfTest.map((it) => it["problem"])).toEqual(Array(4).fill("it broke"));
  });

  test("a key that others can read is a warning", async () => {
    const node = await newNode();
    chmodSync(join(node, "keys/ec.pem"), 0o644);
    const { exit, report } = await doctor(node);
    expect(exit).toBe(0);
    expect(report.keys.findings).toEqual([
      expect.objectContaining({
        severity: "warning",
        message: "users other than its owner can read ec.pem",
      }),
    ]);
  });

  test("it checks that key providers exist", async () => {
    const node = await newNode();
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const provider = (it: object) => JSON.stringify({ "key-providers": it });
    writeFileSync(
      join(node, "providers.json"),
      provider({ command: { cmd: { path: "/bin/cat" } }, service: { grpc: `127.0.0.1:${port}` } }),
    );
    const good = await doctor(node);
    server.close();
    expect(good.exit).toBe(0);
    expect(good.report.providers.providers).toEqual([
      { name: "command", where: "/bin/cat" },
      { name: "service", where: `127.0.0.1:${port}` },
    ]);
    writeFileSync(
      join(node, "providers.json"),
      provider({ command: { cmd: { path: "/none" } }, service: { grpc: "127.0.0.1:1" }, other: {} }),
    );
    const bad = await doctor(node);
    expect(bad.exit).toBe(1);
    expect(bad.report.providers.providers.map((it) => it["problem"])).toEqual([
      "is not an executable",
      expect.stringMatching(/cannot be reached/),
      "has neither cmd nor grpc",
    ]);
    writeFileSync(join(node, "providers.json"), "{}");
    expect((await doctor(node)).exit).toBe(1);
  });

  test("with an image, it reports which key opens which layer", async () => {
    const node = await newNode();
    const layout = join(node, "layout");
    const stranger = join(node, "stranger.pem");
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(stranger, publicKey.export({ format: "pem", type: "spki" }));
    const layerFor = async (file: string) => {
      const type = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
      const { ciphertext, descriptor } = await encryptFor([`jwe:${file}`], gzipSync("a layer"), type);
      return { ...descriptor, ...writeBlob(layout, descriptor.mediaType, ciphertext) };
    };
    const config = writeBlob(
      layout,
      "application/vnd.oci.image.config.v1+json",
      Buffer.from('{"os":"linux","architecture":"amd64"}'),
    );
    const mine = [
      await layerFor(join(node, "keys/ec.pem.pub")),
      await layerFor(join(node, "keys/rsa.jwk.pub")),
    ];
    writeManifest(layout, "mine", { config, layers: mine });
    writeManifest(layout, "theirs", { config, layers: [...mine, await layerFor(stranger)] });

    const good = await doctor(node, "--image", `oci:${layout}:mine`);
    expect(good.exit).toBe(0);
    expect(good.report.image?.platforms[0]?.layers).toEqual([
      expect.objectContaining({
        encryption: expect.objectContaining({ opens: [expect.objectContaining({ key: "ec.pem" })] }),
      }),
      expect.objectContaining({
        encryption: expect.objectContaining({ opens: [expect.objectContaining({ key: "rsa.jwk" })] }),
      }),
    ]);
    const bad = await doctor(node, "--image", `oci:${layout}:theirs`);
    expect(bad.exit).toBe(1);
    expect(bad.report.findings).toContainEqual({
      severity: "error",
      message: "no key here opens layer 2 of the image for linux/amd64",
    });
    expect((await doctor(node, "--image", `oci:${layout}:none`)).exit).toBe(1);
  });

  test("a broken configuration is reported, and everything else is checked", async () => {
    const node = await newNode();
    writeFileSync(join(node, "config.toml"), "version = \n");
    const { exit, report } = await doctor(node, "--keys-path", join(node, "keys"));
    expect(exit).toBe(1);
    expect(report.findings).toContainEqual(
      expect.objectContaining({
        severity: "error",
        message: expect.stringMatching(/is not valid TOML in line 1/),
      }),
    );
    expect(report.keys.rows.length).toBeGreaterThan(3);
  });

  test("names the vendor of the program that the stream processors run", async () => {
    const node = await newNode();
    expect((await doctor(node)).report).toMatchObject({
      decoder: { path: ours.command, version: expect.stringMatching(/^ctd-decoder \d/) },
    });
    const other = join(folder, "other");
    writeFileSync(other, "#!/bin/sh\necho 1\n", { mode: 0o755 });
    const { report } = await doctor(await newNode({ name: "another program", command: other, args: [] }));
    expect(report.decoder?.findings).toEqual([
      expect.objectContaining({
        severity: "warning",
        message: `${other} is another program than this ctd-decoder`,
      }),
    ]);
  });

  test("shows the last refusals of the journal", async () => {
    const node = await newNode();
    const bin = join(node, "bin");
    mkdirSync(bin);
    const entries = [
      { MESSAGE: "refused sha256:1\u001b[31m", __REALTIME_TIMESTAMP: "1764000000000000" },
      { MESSAGE: [...Buffer.from("as bytes")], __REALTIME_TIMESTAMP: "1764000001000000" },
      { MESSAGE: "without a time" },
    ];
    const lines = [...entries.map((it) => JSON.stringify(it)), "not JSON"].join("\n");
    // Other users' entries must not be asked for.
    const ifOwn = `case " $* " in *" _UID=${process.getuid?.()} "*) ;; *) exit 1 ;; esac`;
    writeFileSync(join(bin, "journalctl"), `#!/bin/sh\n${ifOwn}\ncat <<'X'\n${lines}\nX\n`, { mode: 0o755 });
    const env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}` };
    const args = ["doctor", "--config", join(node, "config.toml"), "--containerd", "1.7"];
    const json = await run(ours, [...args, "--json"], { env });
    expect(JSON.parse(json.stdout.toString()).refusals).toEqual([
      { time: "2025-11-24T16:00:00.000Z", message: expect.stringMatching(/^refused sha256:1/) },
      { time: "2025-11-24T16:00:01.000Z", message: "as bytes" },
    ]);
    const text = await run(ours, args, { env });
    expect(text.stdout.toString()).toMatch(
      /last refusals\n {2}2025-11-24T16:00:00.000Z refused sha256:1 ?\[31m\n/,
    );
  });
});

describeWith([ours, goDecoder], "ctd-decoder doctor beside Go's decoder", {}, () => {
  const folder = temporaryFolder();

  test("reports that the installed decoder is Go's", async () => {
    const stanza = await output(ours, [
      "config",
      "--containerd",
      "1.x",
      "--path",
      goDecoder.command,
      "--keys-path",
      folder,
    ]);
    writeFileSync(join(folder, "config.toml"), stanza);
    const { stdout } = await run(ours, [
      "doctor",
      "--config",
      join(folder, "config.toml"),
      "--containerd",
      "1.7",
    ]);
    expect(stdout.toString()).toMatch(
      /warning: \S+ctd-decoder is the decoder of containerd\/imgcrypt, in Go\n.*ctd-decoder install/,
    );
  });
});

const setpriv: Peer = {
  name: "setpriv",
  command: "setpriv",
  args: ["--reuid=65534", "--regid=65534", "--clear-groups"],
};

describeWith([ours, root], "ctd-decoder doctor as another user than root", {}, () => {
  const folder = temporaryFolder();

  test("asks for root instead of another key", async () => {
    // Other users may read the program and the folder, but not the keys.
    for (const path of [dirname(folder), folder]) chmodSync(path, 0o755);
    const keys = join(folder, "keys");
    mkdirSync(keys, { mode: 0o700 });
    const stanza = await output(ours, [
      "config",
      "--containerd",
      "1.x",
      "--path",
      ours.command,
      "--keys-path",
      keys,
    ]);
    writeFileSync(join(folder, "config.toml"), stanza);
    const program = join(folder, "ctd-decoder");
    cpSync(ours.command, program);
    const args = ["doctor", "--config", join(folder, "config.toml"), "--containerd", "1.7", "--json"];
    const { stdout } = await run(setpriv, [program, ...args]);
    expect(JSON.parse(stdout.toString()).keys?.findings, stdout.toString()).toContainEqual(
      expect.objectContaining({ hint: "this user may not read it: run `ctd-decoder doctor` as root" }),
    );
  });
});
