import { type ContainerdConfig, isTable, type Table } from "../containerd/config.ts";
import { type ContainerdVersion, formatVersion } from "../containerd/version.ts";
import type { Finding } from "./finding.ts";

/** Where the settings of the CRI's image service stand: in 1.x, and from 2.0 on in files of version 3. */
const OLD_SECTION = "io.containerd.grpc.v1.cri";
const IMAGES_SECTION = "io.containerd.cri.v1.images";

/** The first release of each 2.x series whose CRI passes a payload at all, with a local pull. */
const FIRST_WITH_PAYLOAD: ReadonlyMap<number, number> = new Map([
  [0, 12],
  [1, 7],
  [2, 2],
]);

/** Whether the CRI passes a payload, and if not, why. */
export interface PayloadExpectation {
  readonly isPassed: boolean;
  readonly reason: string;
}

/** @param version of the containerd that reads the configuration */
export function expectPayload(config: ContainerdConfig, version: ContainerdVersion): PayloadExpectation {
  const images = imageSettings(config, version);
  const model = section(images, "image_decryption")["key_model"] ?? "node";
  if (model !== "node") return { isPassed: false, reason: `image_decryption.key_model is not "node"` };
  if (version.major < 2) return { isPassed: true, reason: "" };
  const first = FIRST_WITH_PAYLOAD.get(version.minor) ?? 0;
  if (version.patch < first)
    return { isPassed: false, reason: `containerd ${formatVersion(version)} never passes one: update it` };
  if (images["use_local_image_pull"] === true || forcesLocalPull(images))
    return { isPassed: true, reason: "" };
  return {
    isPassed: false,
    reason: `use_local_image_pull is not true in [plugins."${IMAGES_SECTION}"]`,
  };
}

/** Settings that stand where containerd 2.x does not look for them. */
export function* ignoredSettings(config: ContainerdConfig, version: ContainerdVersion): Generator<Finding> {
  if (version.major < 2) return;
  const old = section(config.plugins, OLD_SECTION);
  const moved = `set them in [plugins."${IMAGES_SECTION}"], in a file of version 3`;
  if (old["use_local_image_pull"] !== undefined) {
    yield {
      severity: "warning",
      message: `containerd 2.x ignores use_local_image_pull in [plugins."${OLD_SECTION}"]`,
      hint: moved,
    };
  }
  const ignored =
    config.version >= 3
      ? IMAGE_SETTINGS.filter((name) => old[name] !== undefined)
      : ignoredByMigration(section(old, "containerd"));
  if (ignored.length > 0) {
    yield {
      severity: "warning",
      message: `containerd 2.x ignores ${ignored.join(", ")} in [plugins."${OLD_SECTION}"] of a version ${config.version} file`,
      hint: moved,
    };
  }
}

/** What of the old section is about images, and moved in version 3. */
const IMAGE_SETTINGS = ["containerd", "image_decryption", "max_concurrent_downloads", "registry"];
const MIGRATED_WITH_RUNTIMES = ["snapshotter", "disable_snapshot_annotations", "discard_unpacked_layers"];

/** containerd takes these over from a version 2 file only if its runtimes are configured as well (seen with 2.1.9). */
function ignoredByMigration(containerd: Table): string[] {
  if (isTable(containerd["runtimes"])) return [];
  return MIGRATED_WITH_RUNTIMES.filter((name) => containerd[name] !== undefined).map(
    (name) => `containerd.${name}`,
  );
}

function imageSettings(config: ContainerdConfig, version: ContainerdVersion): Table {
  const old = section(config.plugins, OLD_SECTION);
  const images = section(config.plugins, IMAGES_SECTION);
  if (version.major < 2) return old;
  if (config.version >= 3) return images;
  const { use_local_image_pull: _, containerd, ...migrated } = old;
  const settings = isTable(containerd) && isTable(containerd["runtimes"]) ? containerd : {};
  return { ...images, ...settings, ...migrated };
}

/** What the transfer service can't do: with any of these, containerd 2.1 and later pulls by itself, as before. */
function forcesLocalPull(images: Table): boolean {
  const registry = section(images, "registry");
  return (
    images["disable_snapshot_annotations"] === false ||
    images["discard_unpacked_layers"] === true ||
    images["image_pull_with_sync_fs"] === true ||
    (images["max_concurrent_downloads"] ?? DEFAULT_DOWNLOADS) !== DEFAULT_DOWNLOADS ||
    ["mirrors", "configs", "auths"].some((name) => Object.keys(section(registry, name)).length > 0)
  );
}

const DEFAULT_DOWNLOADS = 3;

function section(table: Table, name: string): Table {
  const value = table[name];
  return isTable(value) ? value : {};
}
