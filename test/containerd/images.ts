import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  copyImage,
  type Layer,
  layersOf,
  manifestOf,
  readBlob,
  sha256,
  tar,
  writeBlob,
  writeImage,
  writeManifest,
} from "../support/images.ts";
import { busybox, type Peer } from "../support/peers.ts";
import { type Node, REGISTRY } from "./node.ts";

/**
 * Writes a new image, unlike any other, to an OCI layout: a program in a gzip layer, and a file each in a plain, a gzip
 * and a zstd layer. Run, it prints what is returned: the digest and path of every file.
 */
export async function writeTestImage(layout: string, tag: string): Promise<string> {
  const program = readFileSync(busybox.command);
  const data = { gzip: randomBytes(70_000), none: randomBytes(200_000), zstd: randomBytes(1000) };
  const layers: Layer[] = [
    { tar: await tar({ "bin/busybox": program, "bin/sh": { link: "busybox" } }), compression: "gzip" },
  ];
  for (const compression of ["none", "gzip", "zstd"] as const) {
    layers.push({ tar: await tar({ [`data/${compression}`]: data[compression] }), compression });
  }
  writeImage(layout, tag, layers, { Env: ["PATH=/bin"], Cmd: ["/bin/sh", "-c", LIST_FILES] });
  const line = (path: string, bytes: Buffer) => `${sha256(bytes).slice("sha256:".length)}  ${path}\n`;
  const dataLines = Object.entries(data).map(([name, bytes]) => line(`/data/${name}`, bytes));
  return [line("/bin/busybox", program), ...dataLines].join("");
}

const LIST_FILES = "busybox find / -xdev -type f -exec busybox sha256sum {} + | busybox sort -k 2";

/** The index of the plain-tar layer of a test image. */
const PLAIN_TAR = 1;

/**
 * Flips a bit in a file of the plain-tar layer and makes every digest right again, the diff ID included: with the
 * counter mode that is the digest of a known plaintext. Only the HMAC tells.
 */
export function tamper(layout: string, plainTag: string, tag: string, newTag: string): void {
  const flip = (bytes: Buffer) => bytes.fill((bytes[1000] ?? 0) ^ 1, 1000, 1001);
  const { config, layers } = manifestOf(layout, tag);
  const [plain, encrypted] = [layersOf(layout, plainTag)[PLAIN_TAR], layers[PLAIN_TAR]];
  if (!plain || !encrypted?.mediaType.endsWith(".tar+encrypted")) throw new Error("no plain-tar layer");

  const image = JSON.parse(readBlob(layout, config).toString());
  image.rootfs.diff_ids[PLAIN_TAR] = sha256(flip(readBlob(layout, plain)));
  const forged = writeBlob(layout, encrypted.mediaType, flip(readBlob(layout, encrypted)));
  writeManifest(layout, newTag, {
    config: writeBlob(layout, config.mediaType, Buffer.from(JSON.stringify(image))),
    layers: layers.with(PLAIN_TAR, { ...encrypted, ...forged }),
  });
}

/** Pushes a layout's image to the node's registry and returns its name there. */
export async function push(node: Node, skopeo: Peer, layout: string, tag: string): Promise<string> {
  const reference = `${REGISTRY}/test:${tag}`;
  await copyImage(node.inside(skopeo), `oci:${layout}:${tag}`, `docker://${reference}`);
  return reference;
}

/** Lays a key out as the kubelet mounts a Secret: visible names link through `..data` to a folder with a date. */
export function writeSecret(folder: string, name: string, content: Uint8Array): void {
  mkdirSync(join(folder, "..2026_01_31_12_00_00.123456789"));
  writeFileSync(join(folder, "..2026_01_31_12_00_00.123456789", name), content);
  symlinkSync("..2026_01_31_12_00_00.123456789", join(folder, "..data"));
  symlinkSync(join("..data", name), join(folder, name));
}

/** Empties the node's folder of keys and puts one key into it, or none. */
export function setKey(node: Node, key?: string): void {
  const folder = join(node.folder, "keys");
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  if (key !== undefined) writeFileSync(join(folder, "key"), readFileSync(key));
}
