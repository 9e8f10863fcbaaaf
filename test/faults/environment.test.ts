import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { decode } from "../support/decoder.ts";
import { plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, type Need, ours } from "../support/peers.ts";
import { expectRefusal, seal, secretsOf } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const linux: Need =
  process.platform === "linux" ? { name: "Linux" } : { name: "Linux", absent: "it needs Linux" };

describeWith([ours, linux], "what the decoder inherits", {}, () => {
  const folder = temporaryFolder();
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const keys = join(folder, "keys");
  mkdirSync(keys);
  writeFileSync(join(keys, "node.pem"), privateKey.export({ type: "pkcs8", format: "pem" }));
  const layer = seal(plainBytes(10_000), publicKey);
  const secrets = secretsOf(layer, layer.ciphertext);

  /** A script that shows that it was run: in a file, and in the layer. */
  const trace = join(folder, "trace");
  const script = join(folder, "script.js");
  writeFileSync(script, `require("fs").writeFileSync(${JSON.stringify(trace)}, "run"); console.log("run")`);

  const call = (env: Readonly<Record<string, string>>, cwd = folder) =>
    decode(ours, {
      layer: layer.ciphertext,
      payload: payload(layer.descriptor),
      args: ["--decryption-keys-path", keys],
      env,
      cwd,
    });

  async function expectNoEffect(env: Readonly<Record<string, string>>, cwd?: string): Promise<void> {
    const { exit, stdout, stderr } = await call(env, cwd);
    expect({ exit, stderr, same: stdout.equals(layer.plaintext) }).toEqual({
      exit: 0,
      stderr: "",
      same: true,
    });
    expect(existsSync(trace)).toBe(false);
  }

  describe("changes nothing:", () => {
    test.each<[string, string]>([
      ["NODE_OPTIONS", `--require ${script}`],
      ["NODE_PATH", folder],
      ["NODE_EXTRA_CA_CERTS", "/missing"],
      ["NODE_TLS_REJECT_UNAUTHORIZED", "0"],
      ["NODE_DEBUG", "fs,crypto"],
      ["NODE_PENDING_DEPRECATION", "1"],
      ["NODE_V8_COVERAGE", join(folder, "coverage")],
      ["NODE_CHANNEL_FD", "0"],
      ["OPENSSL_CONF", script],
      ["OPENSSL_MODULES", folder],
      ["SSL_CERT_FILE", "/missing"],
      ["HTTP_PROXY", "http://127.0.0.1:9"],
      ["https_proxy", "http://127.0.0.1:9"],
      ["ALL_PROXY", "socks5://127.0.0.1:9"],
      ["TZ", "Asia/Kathmandu"],
      ["LANG", "tr_TR.UTF-8"],
      ["LC_ALL", "de_DE.UTF-8"],
      ["GLIBC_TUNABLES", "glibc.malloc.check=3"],
      ["MALLOC_PERTURB_", "99"],
      ["LD_LIBRARY_PATH", "/missing"],
      // Allocators are preloaded so; a node that does must not fail to pull.
      ["LD_PRELOAD", "libpthread.so.0"],
      ["BUN_INSTALL", "/missing"],
      ["BUN_CONFIG_VERBOSE_FETCH", "curl"],
      ["BUN_RUNTIME_TRANSPILER_CACHE_PATH", join(folder, "cache")],
      ["BUN_OPTIONS", ""],
      ["DEBUG", "*"],
      ["FORCE_COLOR", "3"],
    ])("%s=%s", (name, value) => expectNoEffect({ [name]: value }));

    test("settings of Bun and Node in the working directory and at home", async () => {
      const home = join(folder, "home");
      mkdirSync(home);
      const files = {
        ".env": `BUN_OPTIONS=--preload=${script}\nOCICRYPT_AUDIT_LOG=${trace}\n`,
        ".env.production": `OCICRYPT_AUDIT_LOG=${trace}\n`,
        "bunfig.toml": `preload = [${JSON.stringify(script)}]\n`,
        ".bunfig.toml": `preload = [${JSON.stringify(script)}]\n`,
        "package.json": `{"type":"commonjs","imports":{"#a":${JSON.stringify(script)}}}`,
        "tsconfig.json": '{"compilerOptions":{"paths":{"*":["./missing/*"]}}}',
        ".npmrc": "node-options=--version\n",
      };
      for (const [name, text] of Object.entries(files)) writeFileSync(join(home, name), text);
      await expectNoEffect({ HOME: home, XDG_CONFIG_HOME: home }, home);
      expect(readdirSync(home).sort()).toEqual(Object.keys(files).sort());
    });
  });

  describe("steers the runtime, and is refused:", () => {
    test.each<[string, string]>([
      ["BUN_OPTIONS", "--smol"],
      ["BUN_OPTIONS", "--no-deprecation"],
      ["BUN_INSPECT", "127.0.0.1:0"],
      ["BUN_INSPECT_CONNECT_TO", "/missing"],
      ["BUN_INSPECT_NOTIFY", "/missing"],
      ["BUN_JSC_useGC", "0"],
      ["BUN_JSC_validateOptions", "1"],
      ["BUN_BYTECODE_ORDER_OUT", join(folder, "bytecode-order")],
    ])("%s=%s", async (name, value) => {
      expectRefusal(
        await call({ [name]: value }),
        new RegExp(`environment variable ${name} is set`),
        secrets,
      );
    });

    test.each([
      ["BUN_OPTIONS", `--preload=${script}`],
      ["BUN_INSPECT_PRELOAD", script],
    ])("code that %s preloads has run by then, but nothing is released to it", async (name, value) => {
      const { exit, stdout, stderr } = await call({ [name]: value });
      expect(existsSync(trace)).toBe(true);
      expect({ exit, stdout: stdout.toString() }).toEqual({ exit: 1, stdout: "run\n" });
      expect(stderr).toMatch(new RegExp(`environment variable ${name} is set`));
    });

    test("a missing file to preload ends the runtime itself", async () => {
      const { exit, stdout, stderr } = await call({ BUN_INSPECT_PRELOAD: "/missing" });
      expect({ exit, stdout: stdout.toString() }).toEqual({ exit: 1, stdout: "" });
      expect(stderr).toMatch(/preload not found/);
    });

    test("what --print says stands on standard output by then, but nothing of the layer", async () => {
      const { exit, stdout, stderr } = await call({ BUN_OPTIONS: "--print=1" });
      expect({ exit, stdout: stdout.toString() }).toEqual({ exit: 1, stdout: "undefined\n" });
      expect(stderr).toMatch(/BUN_OPTIONS is set/);
    });

    test("a command for people, too", async () => {
      const result = await decode(ours, {
        layer: Buffer.alloc(0),
        args: ["--help"],
        env: { BUN_JSC_useGC: "0" },
      });
      expectRefusal(result, /BUN_JSC_useGC is set/);
    });
  });

  // What can't be refused, because no code of ours runs: SECURITY.md tells.
  test("BUN_BE_BUN makes the executable another program, which releases nothing", async () => {
    const { exit, stdout } = await call({ BUN_BE_BUN: "1" });
    expect({ released: stdout.length, failed: exit !== 0 }).toEqual({ released: 0, failed: true });
  });

  test("core dumps hold none of its memory", async () => {
    const { ciphertext, descriptor } = layer;
    const path = join(folder, "payload");
    writeFileSync(path, payload(descriptor));
    const fd = openSync(path, "r");
    const child = spawn(ours.command, ["--decryption-keys-path", keys], {
      stdio: ["pipe", "pipe", "pipe", fd],
    });
    closeSync(fd);
    try {
      child.stdin?.write(ciphertext.subarray(0, 100));
      const filter = `/proc/${child.pid}/coredump_filter`;
      const deadline = performance.now() + 10_000;
      while (!/^0+\n$/.test(readFileSync(filter, "utf8")) && performance.now() < deadline) await sleep(5);
      expect(readFileSync(filter, "utf8")).toMatch(/^0+\n$/);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
