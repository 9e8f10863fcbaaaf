import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { unwrap } from "../../src/keywrap/provider/unwrap.ts";
import { prepare } from "../../src/keywrap/provider/wrap.ts";
import { KEYS_PREFIX } from "../../src/spec/annotations.ts";
import type { Descriptor } from "../../src/spec/descriptor.ts";
import { type DecoderCall, decode } from "../support/decoder.ts";
import {
  copyImage,
  layersOf,
  manifestOf,
  readBlob,
  sha256,
  tar,
  writeBlob,
  writeImage,
  writeManifest,
} from "../support/images.ts";
import { writeKeys } from "../support/keys.ts";
import { type Parameters, payload } from "../support/payload.ts";
import { describeWith, goDecoder, ours, output, type Peer, skopeoNew } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { contextFor, settingsFor } from "../unit/keywrap/provider/support.ts";

const folder = temporaryFolder();
const plain = join(folder, "plain");
const encrypted = join(folder, "encrypted");
const keysFolder = join(folder, "keys");
const program = (name: string) => fileURLToPath(new URL(`../support/providers/${name}`, import.meta.url));
const services: ChildProcess[] = [];

/** The three ways to reach a provider; each has a key of its own. */
const TRANSPORTS = ["cmd", "tcp", "unix"] as const;
const log = (transport: string) => join(folder, `${transport}.log`);
const secret = (transport: string) => `secret of ${transport}`;

async function startService(transport: string, address: string): Promise<string> {
  const service = spawn(process.execPath, [program("grpc.mjs"), address, secret(transport), log(transport)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  services.push(service);
  const [ready] = (await service.stdout.take(1).toArray()) as Buffer[];
  return /listening (\d+)/.exec(String(ready))?.[1] ?? "";
}

beforeAll(async () => {
  const port = await startService("tcp", "127.0.0.1:0");
  await startService("unix", `unix://${folder}/provider.sock`);
  const file = join(folder, "providers.json");
  const command = [program("command.mjs"), secret("cmd"), log("cmd")];
  const providers = {
    cmd: { cmd: { path: process.execPath, args: command } },
    tcp: { grpc: `127.0.0.1:${port}` },
    unix: { grpc: `unix://${folder}/provider.sock` },
  };
  writeFileSync(file, JSON.stringify({ "key-providers": providers }));
  vi.stubEnv("OCICRYPT_KEYPROVIDER_CONFIG", file);

  writeImage(plain, "plain", [
    { tar: await tar({ "bin/tool": Buffer.alloc(50_000, "tool") }), compression: "gzip" },
  ]);
  mkdirSync(keysFolder);
  const keys = await writeKeys(folder, "RSA-2048");
  copyFileSync(keys.privatePath("pkcs8.pem"), join(keysFolder, "key.pem"));
});

afterAll(() => {
  vi.unstubAllEnvs();
  for (const service of services) service.kill("SIGKILL");
});

const plainDigest = () => layersOf(plain, "plain")[0]?.digest;

function layerOf(layout: string, tag: string): Descriptor {
  const [layer] = layersOf(layout, tag);
  if (!layer) throw new Error(`no layer in ${tag}`);
  return layer;
}

interface Call extends Partial<DecoderCall> {
  readonly parameters?: Parameters;
  readonly config?: string;
}

function open(
  decoder: Peer,
  layer: Descriptor,
  { parameters, config, env, ...call }: Call = {},
  layout = encrypted,
) {
  return decode(decoder, {
    layer: readBlob(layout, layer),
    payload: payload(layer, parameters),
    mediaType: layer.mediaType,
    env: { OCICRYPT_KEYPROVIDER_CONFIG: config ?? process.env["OCICRYPT_KEYPROVIDER_CONFIG"] ?? "", ...env },
    ...call,
  });
}

const lastLine = (file: string) => readFileSync(file, "utf8").trim().split("\n").at(-1);

describeWith([skopeoNew], "layers encrypted by skopeo through a provider", {}, () => {
  beforeAll(async () => {
    for (const transport of TRANSPORTS) {
      const recipients = [`provider:${transport}:attribute`];
      await copyImage(skopeoNew, `oci:${plain}:plain`, `oci:${encrypted}:${transport}`, { recipients });
    }
  });

  describeWith([ours], "and our decoder", {}, () => {
    test.each(TRANSPORTS)("open by %s", async (transport) => {
      const { exit, stdout, stderr } = await open(ours, layerOf(encrypted, transport));
      expect({ exit, stderr, digest: sha256(stdout) }).toEqual({
        exit: 0,
        stderr: "",
        digest: plainDigest(),
      });
    });

    test.each(TRANSPORTS)("with another provider's key stay closed: %s", async (transport) => {
      const { annotations = {}, ...layer } = layerOf(encrypted, transport);
      const other = TRANSPORTS.find((it) => it !== transport);
      const moved = {
        ...layer,
        annotations: {
          ...annotations,
          [`${KEYS_PREFIX}provider.${other}`]: annotations[`${KEYS_PREFIX}provider.${transport}`] ?? "",
          [`${KEYS_PREFIX}provider.${transport}`]: "",
        },
      };
      const { exit, stdout, stderr } = await open(ours, moved);
      expect({ exit, stdout: stdout.length }).toEqual({ exit: 1, stdout: 0 });
      expect(stderr).toMatch(
        new RegExp(`^ctd-decoder: error: .*provider "${other}" (ended with exit code|failed with gRPC)`),
      );
    });

    test("a provider is told its own parameters and no key", async () => {
      const parameters = { cmd: ["token"], privkeys: [readFileSync(join(keysFolder, "key.pem"))] };
      const args = ["--decryption-keys-path", keysFolder];
      expect(await open(ours, layerOf(encrypted, "cmd"), { parameters, args })).toMatchObject({ exit: 0 });
      expect(JSON.parse(lastLine(log("cmd")) ?? "").keyunwrapparams.dc).toEqual({
        Parameters: { cmd: [Buffer.from("token").toString("base64")] },
      });
    });

    test("a command is handed neither the layer's pipe nor the payload's", async () => {
      const listing = join(folder, "descriptors");
      const config = join(folder, "listing.json");
      // A shell keeps copies of its own descriptors, so it is what they are that counts.
      const script = `ls -l /proc/$$/fd >${listing}; exec "$0" "$@"`;
      const args = ["-c", script, process.execPath, program("command.mjs"), secret("cmd")];
      writeFileSync(config, JSON.stringify({ "key-providers": { cmd: { cmd: { path: "/bin/sh", args } } } }));
      expect(await open(ours, layerOf(encrypted, "cmd"), { config })).toMatchObject({ exit: 0 });
      const targets = [...readFileSync(listing, "utf8").matchAll(/ -> (.*)/g)].map(
        ([, target]) => target ?? "",
      );
      const own = targets.filter((target) => /^(socket:|\/dev\/null$|\/dev\/shm\/)/.test(target));
      expect(own.length).toBeGreaterThanOrEqual(2);
      expect(targets.filter((target) => !own.includes(target))).toEqual([listing]);
    });
  });

  describeWith([ours, goDecoder], "and what Go's decoder asks", {}, () => {
    test.each(TRANSPORTS)("is what ours asks with --provider-legacy-dc: %s", async (transport) => {
      const call = {
        parameters: { [transport]: ["token", null] },
        args: ["--decryption-keys-path", keysFolder],
      };
      expect(await open(goDecoder, layerOf(encrypted, transport), call)).toMatchObject({ exit: 0 });
      const asked = JSON.parse(lastLine(log(transport)) ?? "");
      const args = [...call.args, "--provider-legacy-dc"];
      expect(await open(ours, layerOf(encrypted, transport), { ...call, args })).toMatchObject({ exit: 0 });
      expect(JSON.parse(lastLine(log(transport)) ?? "")).toEqual(asked);
      expect(Object.keys(asked.keyunwrapparams.dc.Parameters)).toContain("privkeys");
    });
  });

  describe("wrapped again by us", () => {
    const rewrapped = join(folder, "rewrapped");

    beforeAll(async () => {
      const settings = { ...settingsFor(folder, {}), environment: process.env };
      for (const transport of TRANSPORTS) {
        const image = manifestOf(encrypted, transport);
        const layer = layerOf(encrypted, transport);
        const name = `${KEYS_PREFIX}provider.${transport}`;
        const packet = new Uint8Array(Buffer.from(layer.annotations?.[name] ?? "", "base64"));
        const opened = await unwrap(packet, contextFor(transport, settings));
        const [wrapper] = await prepare([`${transport}:attribute`], settings);
        const wrapped = await wrapper?.wrap(opened?.options.bytes ?? new Uint8Array());
        const annotations = { ...layer.annotations, [name]: Buffer.from(wrapped ?? []).toString("base64") };
        expect(annotations[name]).not.toBe(layer.annotations?.[name]);
        writeBlob(rewrapped, layer.mediaType, readBlob(encrypted, layer));
        writeBlob(rewrapped, image.config.mediaType, readBlob(encrypted, image.config));
        writeManifest(rewrapped, transport, { ...image, layers: [{ ...layer, annotations }] });
      }
    });

    describeWith([goDecoder], "they open with Go's decoder", {}, () => {
      test.each(TRANSPORTS)("by %s", async (transport) => {
        const { exit, stdout } = await open(goDecoder, layerOf(rewrapped, transport), {}, rewrapped);
        expect({ exit, digest: sha256(stdout) }).toEqual({ exit: 0, digest: plainDigest() });
      });
    });

    test.each(TRANSPORTS)("they open with skopeo by %s", async (transport) => {
      const opened = join(folder, "opened");
      await copyImage(skopeoNew, `oci:${rewrapped}:${transport}`, `oci:${opened}:${transport}`, {
        keys: [`provider:${transport}:attribute`],
      });
      expect(layerOf(opened, transport).digest).toBe(plainDigest());
    });
  });

  describeWith([ours], "and providers that fail", {}, () => {
    const failing = (provider: object, args: readonly string[] = []) => {
      const config = join(folder, "failing.json");
      writeFileSync(config, JSON.stringify({ "key-providers": { cmd: provider } }));
      // The gRPC library would tell the console, which is the message of a failed pull.
      const env = { GRPC_TRACE: "all", GRPC_VERBOSITY: "DEBUG" };
      return open(ours, layerOf(encrypted, "cmd"), { config, args, env });
    };
    const command = (script: string) => ({ cmd: { path: "/bin/sh", args: ["-c", script] } });

    test.each([
      ["one that exits 5", command("echo no luck >&2; exit 5"), /provider "cmd" ended with exit code 5/],
      [
        "one that prints garbage",
        command("echo hunter2"),
        /provider "cmd" gave an answer that is not a JSON/,
      ],
      ["one that never ends", command("sleep 1000 & sleep 1000"), /provider "cmd" did not answer within 2 s/],
      ["one without end", command("yes"), /provider "cmd" gave an answer of more than/],
      ["one that isn't there", { cmd: { path: "/nonexistent/kms" } }, /provider "cmd".*no such file/],
      [
        "a script without interpreter",
        { cmd: { path: program("vault.d.mts") } },
        /provider "cmd".*permission denied/,
      ],
      [
        "a service that isn't there",
        { grpc: "unix:///nonexistent.sock" },
        /provider "cmd" could not be reached/,
      ],
      ["a service of unknown host", { grpc: "kms.invalid:1" }, /provider "cmd" could not be reached/],
    ])("%s: one message, exit code 1, no output", async (_what, provider, message) => {
      const { exit, stdout, stderr } = await failing(provider, ["--provider-timeout", "2"]);
      expect({ exit, stdout: stdout.length }).toEqual({ exit: 1, stdout: 0 });
      expect(stderr).toMatch(message);
      expect(stderr).toMatch(/^ctd-decoder: error: [^\n]*\n(ctd-decoder: hint: [^\n]*\n)?$/);
      expect(stderr).not.toMatch(/no luck|hunter2/);
    });

    test("a service that says nothing", async () => {
      const silent = createServer();
      const path = join(folder, "silent.sock");
      await new Promise<void>((resolve) => silent.listen(path, resolve));
      const { exit, stderr } = await failing({ grpc: `unix://${path}` }, ["--provider-timeout", "2"]);
      silent.close();
      expect(exit).toBe(1);
      expect(stderr).toMatch(/provider "cmd" did not answer within 2 s/);
    });
  });
});

describeWith([ours, goDecoder, skopeoNew], "images by our encrypt open with the peers", {}, () => {
  test.each(TRANSPORTS)("%s", async (transport) => {
    const target = join(folder, "ours");
    await output(ours, [
      "encrypt",
      "--recipient",
      `provider:${transport}:attribute`,
      `oci:${plain}:plain`,
      `oci:${target}:${transport}`,
    ]);
    const { exit, stdout } = await open(goDecoder, layerOf(target, transport), {}, target);
    expect({ exit, digest: sha256(stdout) }).toEqual({ exit: 0, digest: plainDigest() });
    const opened = join(folder, "opened-ours");
    await copyImage(skopeoNew, `oci:${target}:${transport}`, `oci:${opened}:${transport}`, {
      keys: [`provider:${transport}`],
    });
    expect(layerOf(opened, transport).digest).toBe(plainDigest());
  });
});
