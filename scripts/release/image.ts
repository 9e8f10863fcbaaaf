/** The OCI image of a release. For each architecture it holds only the executable and the C library that it needs. */
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, realpathSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { writeJson } from "../../src/encoding/json-document.ts";
import { gzip } from "../../src/transport/gzip.ts";
import { type NewTarEntry, packTar } from "../../src/transport/tar.ts";

export interface ImagePart {
  readonly architecture: "amd64" | "arm64";
  /** Path of the executable to put in. */
  readonly executable: string;
  /** Folder with Debian's libc6 unpacked. */
  readonly libraries: string;
  /** Text of the licences of all components. */
  readonly notices: string;
}

export interface ImageLabels {
  readonly version: string;
  /** RFC 3339. */
  readonly created: string;
  /** Commit, hexadecimal. */
  readonly revision: string;
}

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const PROGRAM = "/usr/bin/ctd-decoder";
const LOADERS = { amd64: "lib64/ld-linux-x86-64.so.2", arm64: "lib/ld-linux-aarch64.so.1" } as const;
const LIBRARY_FOLDERS = { amd64: "lib/x86_64-linux-gnu", arm64: "lib/aarch64-linux-gnu" } as const;
/** Libraries that the runtime is linked to. Vendors' PKCS#11 modules also need libgcc_s. */
const LIBRARIES = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libgcc_s.so.1"];
const GZIP_LEVEL = 6;
const EXECUTABLE_MODE = 0o755;
const FILE_MODE = 0o644;

/** Writes an OCI layout, as a tar archive, with an index over the parts. The same inputs give the same bytes. */
export async function writeImage(
  path: string,
  parts: readonly ImagePart[],
  labels: ImageLabels,
): Promise<void> {
  const blobs = new Map<string, Uint8Array>();
  const add = (mediaType: string, bytes: Uint8Array): Blob => {
    const hex = createHash("sha256").update(bytes).digest("hex");
    blobs.set(hex, bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const manifests = [];
  for (const part of parts) {
    const tar = await collect(packTar(rootfs(part)));
    const layer = add(
      "application/vnd.oci.image.layer.v1.tar+gzip",
      await collect(gzip(once(tar), GZIP_LEVEL)),
    );
    const config = add("application/vnd.oci.image.config.v1+json", configOf(part, labels, tar));
    const manifest = { schemaVersion: 2, mediaType: MANIFEST, config, layers: [layer] };
    const platform = { os: "linux", architecture: part.architecture };
    manifests.push({ ...add(MANIFEST, writeJson(manifest)), platform });
  }
  const annotations = {
    "org.opencontainers.image.title": "ctd-decoder",
    "org.opencontainers.image.version": labels.version,
    "org.opencontainers.image.revision": labels.revision,
    "org.opencontainers.image.licenses": "Apache-2.0",
  };
  const index = add(INDEX, writeJson({ schemaVersion: 2, mediaType: INDEX, manifests, annotations }));
  const named = { ...index, annotations: { "org.opencontainers.image.ref.name": labels.version } };
  const layout = [
    fileEntry("oci-layout", writeJson({ imageLayoutVersion: "1.0.0" })),
    fileEntry("index.json", writeJson({ schemaVersion: 2, mediaType: INDEX, manifests: [named] })),
    ...[...blobs]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([hex, bytes]) => fileEntry(`blobs/sha256/${hex}`, bytes)),
  ];
  mkdirSync(dirname(path), { recursive: true });
  await writeFile(path, packTar(layout));
}

const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const INDEX = "application/vnd.oci.image.index.v1+json";

function configOf({ architecture }: ImagePart, { created }: ImageLabels, tar: Uint8Array): Uint8Array {
  return writeJson({
    created,
    os: "linux",
    architecture,
    config: { Entrypoint: [PROGRAM], Env: ["PATH=/usr/bin"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [`sha256:${createHash("sha256").update(tar).digest("hex")}`] },
    history: [{ created, created_by: "npm run release" }],
  });
}

function* rootfs({ architecture, executable, libraries, notices }: ImagePart): Generator<NewTarEntry> {
  const root = join(libraries, "root");
  const loader = LOADERS[architecture];
  const folder = LIBRARY_FOLDERS[architecture];
  const files = [...LIBRARIES.map((name) => `${folder}/${name}`), loader].sort();
  // /tmp is where a large layer's ciphertext is spooled when a container decrypts images.
  const folders = [...new Set([...files, PROGRAM.slice(1), NOTICES].flatMap(parentsOf)), "tmp"].sort();
  for (const name of folders) {
    const mode = name === "tmp" ? 0o1777 : EXECUTABLE_MODE;
    yield { header: { name, type: "directory", size: 0, mode, mtime: 0 } };
  }
  for (const name of files) yield diskEntry(name, realpathSync(join(root, name)));
  yield diskEntry(PROGRAM.slice(1), executable);
  yield fileEntry(NOTICES, Buffer.from(notices));
}

const NOTICES = "usr/share/doc/ctd-decoder/THIRD_PARTY_NOTICES.txt";

function parentsOf(path: string): string[] {
  const parent = posix.dirname(path);
  return parent === "." ? [] : [...parentsOf(parent), parent];
}

function diskEntry(name: string, path: string): NewTarEntry {
  const { size } = statSync(path);
  return {
    header: { name, type: "file", size, mode: EXECUTABLE_MODE, mtime: 0 },
    body: createReadStream(path),
  };
}

function fileEntry(name: string, bytes: Uint8Array): NewTarEntry {
  return { header: { name, type: "file", size: bytes.length, mode: FILE_MODE, mtime: 0 }, body: once(bytes) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}
