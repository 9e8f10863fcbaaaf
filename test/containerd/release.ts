import { existsSync } from "node:fs";
import { join } from "node:path";
import { containerd, type Need, PROJECT, runc } from "../support/peers.ts";

/** A containerd to test with: this machine's own, or one unpacked below .peers/, which runs in a chroot there. */
export interface Release {
  readonly version: "1.6" | "1.7" | "2.1" | "2.2";
  /** Whether NRI plugins can validate containers, and be required. */
  readonly hasNriValidators?: true;
  readonly needs: readonly Need[];
  /** The folder to chroot into; undefined for this machine's own. */
  readonly chroot?: string;
}

/** @param folder below .peers/ @param remedy how it gets there */
function unpacked(folder: string, remedy: string): Pick<Release, "needs" | "chroot"> {
  const chroot = join(PROJECT, ".peers", folder, "root");
  const name = `containerd in .peers/${folder}`;
  const present = existsSync(join(chroot, "usr/bin/containerd"));
  return { chroot, needs: [present ? { name } : { name, absent: `${name} is missing: ${remedy}` }] };
}

const RELEASES: readonly Release[] = [
  { version: "1.6", needs: [containerd, runc] },
  { version: "1.7", ...unpacked("trixie", "scripts/peers trixie") },
  { version: "2.1", ...unpacked("sid", "scripts/peers sid") },
  // No Debian suite has it yet.
  { version: "2.2", ...unpacked("containerd-2.2", "see CONTRIBUTING.md"), hasNriValidators: true },
];

/** The release that `npm run test:containerd -- VERSION` asks for; by default Debian bookworm's. */
export function testedRelease(): Release {
  const version = process.env["CONTAINERD_RELEASE"] ?? "1.6";
  const release = RELEASES.find((it) => it.version === version);
  if (!release) throw new Error(`no containerd ${version}: ${RELEASES.map((it) => it.version).join(", ")}`);
  return release;
}

export interface NodeOptions {
  /** containerd 2.x: pull in the CRI plugin, which passes a payload, not by the transfer service, which doesn't. */
  readonly localPull?: boolean;
  /** Image of Pods' sandboxes; undefined for containerd's default, which no test can pull. */
  readonly sandboxImage?: string;
  /** containerd 2.2: creates no container without this project's NRI plugin. */
  readonly requiresNri?: boolean;
  /** Annotations of Pods that reach their containers' bundles. */
  readonly podAnnotations?: readonly string[];
  /**
   * How containerd is configured: as `ctd-decoder config` prints it, as it does with `--returns tar`, with an ID of its own
   * for zstd layers, which gets no payload, or not at all.
   */
  readonly processors?: "printed" | "printed for tar" | "zstd apart" | "none";
}

/** config.toml for a containerd that has all it writes in `folder`, and its stream processors in conf.d there. */
export function configOf(release: Release, folder: string, options: NodeOptions): string {
  const isV2 = release.version.startsWith("2.");
  const cri = isV2 ? "io.containerd.cri.v1.images" : "io.containerd.grpc.v1.cri";
  const unused = ["btrfs", "aufs", "zfs", "devmapper"].map(
    (name) => `"io.containerd.snapshotter.v1.${name}"`,
  );
  return [
    `version = ${isV2 ? 3 : 2}`,
    `imports = ["${folder}/conf.d/*.toml"]`,
    `root = "${folder}/root"`,
    `state = "${folder}/state"`,
    `disabled_plugins = [${unused}]`,
    "[grpc]",
    `address = "${folder}/containerd.sock"`,
    isV2 ? `[plugins."${cri}"]` : `[plugins."${cri}".containerd]`,
    `snapshotter = "native"`,
    ...(isV2
      ? [
          `use_local_image_pull = ${options.localPull ?? false}`,
          ...TRANSFER_CONFIG,
          ...verifierConfig(folder),
        ]
      : []),
    ...sandboxConfig(isV2, options),
    ...(isV2 ? nriConfig(folder, options) : []),
    "",
  ].join("\n");
}

function sandboxConfig(isV2: boolean, { sandboxImage, podAnnotations = [] }: NodeOptions): string[] {
  if (sandboxImage === undefined) return [];
  const runtime = isV2 ? "io.containerd.cri.v1.runtime" : "io.containerd.grpc.v1.cri";
  const image = isV2
    ? [`[plugins."io.containerd.cri.v1.images".pinned_images]`, `sandbox = "${sandboxImage}"`]
    : [];
  return [
    ...image,
    `[plugins."${runtime}"]`,
    ...(isV2 ? [] : [`sandbox_image = "${sandboxImage}"`]),
    // A machine without CAP_SYS_RESOURCE, such as a container, can't give sandboxes their usual score.
    "restrict_oom_score_adj = true",
    `[plugins."${runtime}".containerd.runtimes.runc]`,
    `runtime_type = "io.containerd.runc.v2"`,
    `pod_annotations = ${JSON.stringify(podAnnotations)}`,
  ];
}

/** The usual socket is one for all nodes of a machine: the second node could not start. */
function nriConfig(folder: string, { requiresNri }: NodeOptions): string[] {
  const section = "io.containerd.nri.v1.nri";
  const own = [`[plugins."${section}"]`, `socket_path = "${folder}/nri.sock"`];
  if (!requiresNri) return own;
  return [
    ...own,
    `[plugins."${section}".default_validator]`,
    "enable = true",
    `required_plugins = ["ctd-decoder"]`,
  ];
}

const TRANSFER_CONFIG = [
  `[[plugins."io.containerd.transfer.v1.local".unpack_config]]`,
  `platform = "linux/${process.arch === "x64" ? "amd64" : process.arch}"`,
  `snapshotter = "native"`,
];

/** An empty or missing folder verifies nothing, and forbids nothing. */
function verifierConfig(folder: string): string[] {
  return [
    `[plugins."io.containerd.image-verifier.v1.bindir"]`,
    `bin_dir = "${folder}/verifiers"`,
    `per_verifier_timeout = "30s"`,
  ];
}

/** What `ctd-decoder config` never prints: an ID of its own for zstd layers. */
export function zstdApart(release: Release, path: string, args: readonly string[]): string {
  const rows = ["", "+gzip", "+zstd"].map((suffix) => {
    const type = `application/vnd.oci.image.layer.v1.tar${suffix}`;
    return [
      `[stream_processors."io.containerd.ocicrypt.decoder.v1.tar${suffix.replace("+", ".")}"]`,
      `accepts = ["${type}+encrypted"]`,
      `returns = "${type}"`,
      `path = "${path}"`,
      `args = ${JSON.stringify(args)}`,
    ];
  });
  return [`version = ${release.version.startsWith("2.") ? 3 : 2}`, ...rows.flat(), ""].join("\n");
}
