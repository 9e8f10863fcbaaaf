import { createHash } from "node:crypto";
import { pack } from "tar-stream";

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const hex = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Small archives of one image each, as `docker save` and as an OCI layout, and one with every kind of entry. */
export async function writeArchives(): Promise<ReadonlyMap<string, Buffer>> {
  const layer = Buffer.alloc(1024);
  const config = json({
    os: "linux",
    architecture: "amd64",
    rootfs: { type: "layers", diff_ids: [`sha256:${hex(layer)}`] },
  });
  const descriptor = (mediaType: string, bytes: Buffer) => ({
    mediaType,
    digest: `sha256:${hex(bytes)}`,
    size: bytes.length,
  });
  const manifest = json({
    schemaVersion: 2,
    config: descriptor("application/vnd.oci.image.config.v1+json", config),
    layers: [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
  });
  const index = json({
    schemaVersion: 2,
    manifests: [descriptor("application/vnd.oci.image.manifest.v1+json", manifest)],
  });
  const blobs = [layer, config, manifest].map((bytes) => [`blobs/sha256/${hex(bytes)}`, bytes] as const);
  const oci = [
    ["oci-layout", json({ imageLayoutVersion: "1.0.0" })],
    ["index.json", index],
    ...blobs,
  ] as const;
  const docker = [
    ["manifest.json", json([{ Config: "config.json", RepoTags: ["a:1"], Layers: ["layer.tar"] }])],
    ["config.json", config],
    ["layer.tar", layer],
  ] as const;
  return new Map([
    ["oci", await archive((add) => addFiles(add, oci))],
    ["docker", await archive((add) => addFiles(add, docker))],
    [
      "entries",
      await archive((add) => {
        add({ name: "d", type: "directory" });
        add({ name: "f", pax: { path: "f".repeat(120), size: "3" } }, Buffer.from("abc"));
        add({ name: "s", type: "symlink", linkname: "f" });
        add({ name: "h", type: "link", linkname: "f" });
        add({ name: "long/".repeat(40), type: "directory" });
      }),
    ],
  ]);
}

type Add = (header: object, bytes?: Buffer) => void;

function addFiles(add: Add, files: readonly (readonly [name: string, bytes: Buffer])[]): void {
  for (const [name, bytes] of files) add({ name }, bytes);
}

async function archive(fill: (add: Add) => void): Promise<Buffer> {
  const writer = pack();
  fill(
    (header, bytes) =>
      void writer.entry({ mode: 0o644, mtime: new Date(0), ...header } as never, bytes ?? Buffer.alloc(0)),
  );
  writer.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of writer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
