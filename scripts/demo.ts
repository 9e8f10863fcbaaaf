/** Prints and runs the commands of the demonstration that `scripts/demo` starts. */
import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { encodeField } from "../src/encoding/protobuf.ts";
import { parseLayerType } from "../src/spec/media-types.ts";
import { startDockerRegistry } from "../test/support/docker-registry.ts";
import { registry } from "../test/support/peers.ts";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const decoder = join(dirname(import.meta.dirname), "dist/ctd-decoder");
const folder = mkdtempSync(join(tmpdir(), "ctd-decoder-demo-"));

/** Fails at once when the reader of the output goes away, such as head(1): what runs is then stopped and removed. */
function say(text = ""): void {
  writeSync(1, `${text}\n`);
}

/** Runs the executable in the demonstration's folder and prints the command. */
function run(...args: string[]): void {
  say(`  $ ctd-decoder ${args.join(" ")}`);
  const output = execFileSync(decoder, args, {
    cwd: folder,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  for (const line of output.trimEnd().split("\n")) if (line !== "") say(`    ${line}`);
}

function makeFiles(): void {
  const files = join(folder, "files");
  mkdirSync(join(files, "etc"), { recursive: true });
  writeFileSync(join(files, "hello"), '#!/bin/sh\necho "Hello from an encrypted image."\n');
  chmodSync(join(files, "hello"), 0o755);
  writeFileSync(join(files, "etc/secret.conf"), "only the node may read this\n");
}

function readJson<T>(...path: string[]): T {
  return JSON.parse(readFileSync(join(folder, ...path), "utf8")) as T;
}

function layersOf(layout: string): Descriptor[] {
  const index = readJson<{ manifests: Descriptor[] }>(layout, "index.json");
  const [manifest] = index.manifests;
  if (manifest === undefined) throw new Error(`${layout} is empty`);
  return readJson<{ layers: Descriptor[] }>(blobPath(layout, manifest)).layers;
}

function blobPath(layout: string, { digest }: Descriptor): string {
  return join(layout, "blobs", digest.replace(":", "/"));
}

/**
 * Calls the decoder as containerd does. File descriptor 3 has the payload, a google.protobuf.Any with the layer's descriptor.
 * Standard input has the encrypted layer, and standard output gets the plaintext.
 */
function decryptAsContainerd(layout: string, layer: Descriptor, keys: string): Promise<Buffer> {
  const payload = Buffer.concat([
    encodeField(1, Buffer.from("io.containerd.ocicrypt.v1.Payload")),
    encodeField(2, Buffer.from(JSON.stringify({ DecryptConfig: { Parameters: null }, Descriptor: layer }))),
  ]);
  return new Promise((resolve, reject) => {
    const child = spawn(decoder, ["--decryption-keys-path", keys], {
      cwd: folder,
      stdio: ["pipe", "pipe", "inherit", "pipe"],
      env: { ...process.env, STREAM_PROCESSOR_MEDIATYPE: layer.mediaType },
    });
    const output: Buffer[] = [];
    child.stdout?.on("data", (data: Buffer) => output.push(data));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(Buffer.concat(output));
      else reject(new Error(`ctd-decoder ended with exit code ${code}`));
    });
    (child.stdio[3] as NodeJS.WritableStream).end(payload);
    child.stdin?.end(readFileSync(join(folder, blobPath(layout, layer))));
  });
}

function sha256(data: Uint8Array): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

/** Shows how publishers change images in a registry. */
async function inRegistry(): Promise<void> {
  const server = await startDockerRegistry(join(folder, "registry"));
  const image = `docker://${server.host}/app:encrypted`;
  try {
    say(
      "\n5. The same in a registry, which this script starts and stops. Layers are not written to a disk on the way.",
    );
    run("encrypt", "--recipient", "jwe:keys/node.pem.pub", "oci:plain:decrypted", image);
    say("   One more node gets access. Only the manifest is transferred, whatever the size of the image.");
    run("keygen", "other.pem");
    run(...["rewrap", "--force", "--key", "keys/node.pem", "--recipient", "jwe:other.pem.pub", image, image]);
    run("verify", "--key", "other.pem", image);
  } finally {
    await server.stop();
  }
}

async function demo(): Promise<void> {
  say("1. Make a key pair. The private key stays on the node. Publishers get the public key.");
  mkdirSync(join(folder, "keys"));
  run("keygen", "keys/node.pem");

  say("\n2. Make an image of two files, encrypted for that node.");
  makeFiles();
  run(
    "encrypt",
    "--recipient",
    "jwe:keys/node.pem.pub",
    "--entrypoint",
    "/hello",
    "rootfs:files",
    "oci:image:encrypted",
  );
  run("inspect", "oci:image:encrypted");

  say("\n3. Decrypt the layers as containerd does during a pull. For each encrypted layer it starts");
  say("     ctd-decoder --decryption-keys-path keys");
  say("   with the layer's descriptor on file descriptor 3 and the layer on stdin, and unpacks the output.");
  run("decrypt", "--decryption-keys-path", "keys", "oci:image:encrypted", "oci:plain:decrypted");
  const plain = layersOf("plain");
  let different = 0;
  for (const [i, layer] of layersOf("image").entries()) {
    const output = await decryptAsContainerd("image", layer, "keys");
    const wanted = plain[i]?.digest;
    const same = sha256(output) === wanted;
    if (!same) different++;
    say(`   layer ${i}: ${layer.size} bytes of ${layer.mediaType}`);
    say(`     decrypted: ${sha256(output)} (${parseLayerType(layer.mediaType)?.plain})`);
    say(`     expected:  ${wanted} ${same ? "— the same" : "— DIFFERENT"}`);
  }
  if (different > 0) throw new Error(`${different} layers were not decrypted correctly`);

  say("\n4. Check the whole image. This command writes nothing.");
  run("verify", "--decryption-keys-path", "keys", "oci:image:encrypted");
  if (registry.absent === undefined) await inRegistry();
  say("\nNext: README.md shows how to install it on a node.");
}

demo()
  .catch((error: unknown) => {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  })
  .finally(() => rmSync(folder, { recursive: true, force: true }));
