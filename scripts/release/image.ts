/**
 * The OCI image of a release. For each architecture it holds the executable, the two programs of Debian with which
 * `install` reaches the node, and the libraries that these need. It has no shell.
 */
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { writeJson } from "../../src/encoding/json-document.ts";
import { gzip } from "../../src/transport/gzip.ts";
import { type NewTarEntry, packTar } from "../../src/transport/tar.ts";

export interface ImagePart {
  readonly architecture: "amd64" | "arm64";
  /** Path of the executable to put in. */
  readonly executable: string;
  /** Folder with {@link IMAGE_PACKAGES} unpacked by `scripts/debian-unpack`. */
  readonly debian: string;
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
/** chroot runs the program in the node's root, and nsenter restarts containerd. nsenter needs the libraries after it. */
const PROGRAMS = ["usr/sbin/chroot", "usr/bin/nsenter"];
const NSENTER_LIBRARIES = ["libselinux.so.1", "libpcre2-8.so.0"];
/** Debian packages of all of these, by whose names their licences are found. */
const LICENSED_PACKAGES = ["libc6", "libgcc-s1", "coreutils", "util-linux", "libselinux1", "libpcre2-8-0"];
/** Packages that `scripts/debian-unpack` unpacks. It adds their dependencies. */
export const IMAGE_PACKAGES: readonly string[] = ["libc6", "coreutils", "util-linux"];
const EMPTY_FOLDERS = ["dev", "etc", "proc", "run", "sys", "tmp"];
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
    config: { Entrypoint: [PROGRAM], Env: ["PATH=/usr/bin:/usr/sbin"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [`sha256:${createHash("sha256").update(tar).digest("hex")}`] },
    history: [{ created, created_by: "npm run release" }],
  });
}

function* rootfs({ architecture, executable, debian, notices }: ImagePart): Generator<NewTarEntry> {
  const root = join(debian, "root");
  const folder = LIBRARY_FOLDERS[architecture];
  const libraries = [...LIBRARIES, ...NSENTER_LIBRARIES].map((name) => `${folder}/${name}`);
  const files = [...libraries, LOADERS[architecture], ...PROGRAMS].sort();
  const documents = new Map([
    [NOTICES, Buffer.from(notices)],
    [VERSIONS, readFileSync(join(debian, "versions"))],
    ...LICENSED_PACKAGES.map((name) => licenceOf(root, name)),
  ]);
  // Runtimes mount the first ones. /tmp is where a large layer's ciphertext is spooled when a container decrypts images.
  const folders = [
    ...new Set([...files, PROGRAM.slice(1), ...documents.keys()].flatMap(parentsOf)),
    ...EMPTY_FOLDERS,
  ].sort();
  for (const name of folders) {
    const mode = name === "tmp" ? 0o1777 : EXECUTABLE_MODE;
    yield { header: { name, type: "directory", size: 0, mode, mtime: 0 } };
  }
  for (const name of files) yield diskEntry(name, realpathSync(join(root, name)));
  yield diskEntry(PROGRAM.slice(1), executable);
  for (const [name, bytes] of documents) yield fileEntry(name, bytes);
}

function licenceOf(root: string, name: string): [string, Buffer] {
  const path = `usr/share/doc/${name}/copyright`;
  return [path, readFileSync(realpathSync(join(root, path)))];
}

const NOTICES = "usr/share/doc/ctd-decoder/THIRD_PARTY_NOTICES.txt";
/** Versions of the Debian packages, whose sources Debian publishes. */
const VERSIONS = "usr/share/doc/ctd-decoder/debian-packages";

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
