import { existsSync } from "node:fs";
import { join } from "node:path";
import { encryptedTypes } from "../../src/spec/media-types.ts";
import { containerd, type Need, PROJECT, runc } from "../support/peers.ts";

/** A containerd to test with: this machine's own, or one unpacked below .peers/, which runs in a chroot there. */
export interface Release {
  readonly version: "1.6" | "1.7" | "2.1";
  readonly needs: readonly Need[];
  /** The folder to chroot into; undefined for this machine's own. */
  readonly chroot?: string;
}

function unpacked(suite: string): Pick<Release, "needs" | "chroot"> {
  const chroot = join(PROJECT, ".peers", suite, "root");
  const name = `containerd of Debian ${suite}`;
  const present = existsSync(join(chroot, "usr/bin/containerd"));
  return {
    chroot,
    needs: [present ? { name } : { name, absent: `${name} is missing: scripts/peers ${suite}` }],
  };
}

const RELEASES: readonly Release[] = [
  { version: "1.6", needs: [containerd, runc] },
  { version: "1.7", ...unpacked("trixie") },
  { version: "2.1", ...unpacked("sid") },
];

/** The release that `npm run test:containerd -- VERSION` asks for; by default Debian bookworm's. */
export function testedRelease(): Release {
  const version = process.env["CONTAINERD_RELEASE"] ?? "1.6";
  const release = RELEASES.find((it) => it.version === version);
  if (!release) throw new Error(`no containerd ${version}: ${RELEASES.map((it) => it.version).join(", ")}`);
  return release;
}

/** How containerd is told about the decoder. */
export interface Processors {
  /** The decoder's executable and arguments. */
  readonly path: string;
  readonly args: readonly string[];
  /**
   * Which ID zstd layers have: "gzip" shares that of gzip, so that they get a payload as well; "own" never gets one;
   * with "tar" the decoder decompresses too, and returns tar for all.
   */
  readonly zstd: "gzip" | "own" | "tar";
}

export interface NodeOptions {
  /** containerd 2.x: pull in the CRI plugin, which passes a payload, not by the transfer service, which doesn't. */
  readonly localPull?: boolean;
}

const TAR = "application/vnd.oci.image.layer.v1.tar";
const ID = "io.containerd.ocicrypt.decoder.v1.tar";

/** config.toml for a containerd that has all it writes in `folder`. */
export function configOf(
  release: Release,
  folder: string,
  processors: Processors,
  options: NodeOptions = {},
): string {
  const isV2 = release.version.startsWith("2.");
  const images = isV2 ? "io.containerd.cri.v1.images" : "io.containerd.grpc.v1.cri";
  const section = isV2 ? `plugins."${images}"` : `plugins."${images}".containerd`;
  return [
    `version = ${isV2 ? 3 : 2}`,
    `root = "${folder}/root"`,
    `state = "${folder}/state"`,
    `disabled_plugins = [${["btrfs", "aufs", "zfs", "devmapper"].map((it) => `"io.containerd.snapshotter.v1.${it}"`)}]`,
    "[grpc]",
    `address = "${folder}/containerd.sock"`,
    `[${section}]`,
    `snapshotter = "native"`,
    ...(isV2 ? [`use_local_image_pull = ${options.localPull ?? false}`, ...TRANSFER_CONFIG] : []),
    ...(isV2 ? [] : [`[plugins."${images}"]`, "restrict_oom_score_adj = true"]),
    ...processorStanzas(processors),
    "",
  ].join("\n");
}

const TRANSFER_CONFIG = [
  `[[plugins."io.containerd.transfer.v1.local".unpack_config]]`,
  `platform = "linux/${process.arch === "x64" ? "amd64" : process.arch}"`,
  `snapshotter = "native"`,
];

function processorStanzas(processors: Processors): string[] {
  const stanza = (id: string, returns: string, accepts: readonly string[]) => [
    `[stream_processors."${id}"]`,
    `accepts = ${JSON.stringify(accepts)}`,
    `returns = "${returns}"`,
    `path = "${processors.path}"`,
    `args = ${JSON.stringify(processors.args)}`,
  ];
  const encrypted = (suffix: string) => `${TAR}${suffix}+encrypted`;
  switch (processors.zstd) {
    case "tar":
      // containerd keeps the processors of its default configuration that a file doesn't name: left alone, the one of
      // gzip would take turns with ours, by chance at each start.
      return [
        ...stanza(
          ID,
          TAR,
          encryptedTypes().filter((type) => type !== encrypted("+gzip")),
        ),
        ...stanza(`${ID}.gzip`, TAR, [encrypted("+gzip")]),
      ];
    case "gzip":
      return [
        ...stanza(ID, TAR, [encrypted("")]),
        ...stanza(`${ID}.gzip`, `${TAR}+gzip`, [encrypted("+gzip"), encrypted("+zstd")]),
      ];
    case "own":
      return [
        ...stanza(ID, TAR, [encrypted("")]),
        ...stanza(`${ID}.gzip`, `${TAR}+gzip`, [encrypted("+gzip")]),
        ...stanza(`${ID}.zstd`, `${TAR}+zstd`, [encrypted("+zstd")]),
      ];
  }
}
