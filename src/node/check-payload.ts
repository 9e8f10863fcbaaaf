import { type ContainerdConfig, isTable, type Table } from "../containerd/config.ts";
import { type ContainerdVersion, formatVersion } from "../containerd/version.ts";
import type { Finding } from "./finding.ts";

/** The section of the CRI's image service: in versions 1 and 2 of the configuration, and from version 3 on. */
export const OLD_SECTION = "io.containerd.grpc.v1.cri";
const IMAGES_SECTION = "io.containerd.cri.v1.images";

/** Minor version of containerd 2 → its first patch release whose CRI can pass a payload. */
const FIRST_WITH_PAYLOAD: ReadonlyMap<number, number> = new Map([
  [0, 12],
  [1, 7],
  [2, 2],
]);

interface PayloadExpectation {
  /** Whether the CRI passes a payload to the decoder. */
  readonly isPassed: boolean;
  /** Why it does not; empty if it does. */
  readonly reason: string;
}

/** @param version the containerd that reads the configuration */
export function expectPayload(config: ContainerdConfig, version: ContainerdVersion): PayloadExpectation {
  const images = imageSettings(config, version);
  const model = section(images, "image_decryption")["key_model"] ?? "node";
  if (model !== "node") return { isPassed: false, reason: `image_decryption.key_model is not "node"` };
  if (version.major < 2) return { isPassed: true, reason: "" };
  const first = FIRST_WITH_PAYLOAD.get(version.minor) ?? 0;
  if (version.patch < first)
    return { isPassed: false, reason: `containerd ${formatVersion(version)} never passes one: update it` };
  if (localPullReason(images) !== undefined) return { isPassed: true, reason: "" };
  return {
    isPassed: false,
    reason: `use_local_image_pull is not true in [plugins."${IMAGES_SECTION}"]`,
  };
}

/** The setting by which containerd 2.x pulls in the CRI plugin instead of the transfer service; undefined if none does. */
export function expectLocalPull(config: ContainerdConfig, version: ContainerdVersion): string | undefined {
  return localPullReason(imageSettings(config, version));
}

/** Settings in sections that containerd 2.x does not read. */
export function* ignoredSettings(config: ContainerdConfig, version: ContainerdVersion): Generator<Finding> {
  if (version.major < 2) return;
  const old = section(config.plugins, OLD_SECTION);
  const moved = `set them in [plugins."${IMAGES_SECTION}"] of a version 3 file`;
  if (old["use_local_image_pull"] !== undefined) {
    yield {
      severity: "warning",
      message: `containerd 2.x ignores use_local_image_pull in [plugins."${OLD_SECTION}"]`,
      hint: moved,
    };
  }
  const ignored =
    effectiveVersion(config, version) >= 3
      ? IMAGE_SETTINGS.filter((name) => old[name] !== undefined)
      : ignoredByMigration(section(old, "containerd"));
  if (ignored.length > 0) {
    yield {
      severity: "warning",
      message: `containerd 2.x ignores ${ignored.join(", ")} in [plugins."${OLD_SECTION}"] of a version ${effectiveVersion(config, version)} configuration`,
      hint: moved,
    };
  }
}

/** Settings of the old section that version 3 moved to the images section. */
const IMAGE_SETTINGS = ["containerd", "image_decryption", "max_concurrent_downloads", "registry"];
const MIGRATED_WITH_RUNTIMES = ["snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers"];

/** containerd converts these from a version 2 file only if `runtimes` is configured as well (seen with 2.1.9). */
function ignoredByMigration(containerd: Table): string[] {
  if (isTable(containerd["runtimes"])) return [];
  return MIGRATED_WITH_RUNTIMES.filter((name) => containerd[name] !== undefined).map(
    (name) => `containerd.${name}`,
  );
}

/** containerd 2.0 to 2.2 take the last import's version; later ones convert each file by itself. */
function effectiveVersion({ files, version }: ContainerdConfig, { minor }: ContainerdVersion): number {
  const last = files.findLast((file) => file.version > 1);
  return minor <= LAST_WITH_ONE_VERSION ? (last?.version ?? version) : version;
}

/** The minor version of containerd 2. */
const LAST_WITH_ONE_VERSION = 2;

function imageSettings(config: ContainerdConfig, version: ContainerdVersion): Table {
  const old = section(config.plugins, OLD_SECTION);
  const images = section(config.plugins, IMAGES_SECTION);
  if (version.major < 2) return old;
  if (effectiveVersion(config, version) >= 3) return images;
  const { use_local_image_pull: _, containerd, ...migrated } = old;
  const settings = isTable(containerd) && isTable(containerd["runtimes"]) ? containerd : {};
  return { ...images, ...settings, ...migrated };
}

/** The transfer service does not support some settings: with any of them, containerd 2.1 and later pulls locally. */
function localPullReason(images: Table): string | undefined {
  const flags = ["use_local_image_pull", "discard_unpacked_layers", "image_pull_with_sync_fs"];
  const set = flags.find((name) => images[name] === true);
  if (set !== undefined) return `${set} = true`;
  if (images["disable_snapshot_annotations"] === false) return "disable_snapshot_annotations = false";
  const downloads = images["max_concurrent_downloads"] ?? DEFAULT_DOWNLOADS;
  if (downloads !== DEFAULT_DOWNLOADS) return `max_concurrent_downloads = ${downloads}`;
  const registry = section(images, "registry");
  const old = ["mirrors", "configs", "auths"].find((name) => Object.keys(section(registry, name)).length > 0);
  return old && `registry.${old}`;
}

const DEFAULT_DOWNLOADS = 3;

function section(table: Table, name: string): Table {
  const value = table[name];
  return isTable(value) ? value : {};
}
