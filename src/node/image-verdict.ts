import type { ImageInfo } from "../image/inspect.ts";
import { auditImage } from "../trust/audit-images.ts";
import { readGateSettings } from "../trust/settings.ts";
import { attempt } from "./attempt.ts";
import type { Finding } from "./finding.ts";

interface VerdictOptions {
  /** The node's trust.toml, or a policy alone. */
  readonly settingsFile: string;
  /** containerd's data folder. */
  readonly root: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const REGISTRY = "docker://";

/**
 * What the node's policy says about an image that could be pulled. Layouts and archives are not pulled, so no policy applies to
 * them. A policy that cannot be read is a finding of the trust report.
 * @param image "docker://NAME", or a name in containerd's store or in a registry
 */
export async function imageVerdict(
  image: string,
  info: ImageInfo,
  { settingsFile, root, environment }: VerdictOptions,
): Promise<Finding[]> {
  const { namesTransport } = await import("../transport/reference.ts");
  const isInRegistry = image.startsWith(REGISTRY);
  if (namesTransport(image) && !isInRegistry) return [];
  const settings = attempt([], () => readGateSettings(settingsFile));
  if (settings === undefined) return [];
  const { ContainerdImages } = await import("./containerd-images.ts");
  // Of an index in the store, the image's own digest is that of one manifest. containerd asks about the index.
  const stored = isInRegistry ? undefined : new ContainerdImages(root).digestOf(image);
  const name = isInRegistry ? image.slice(REGISTRY.length) : image;
  const named = { name, digest: stored ?? info.digest };
  const { accepted, judged, reason } = await auditImage(named, settings, environment, false);
  if (accepted) return [{ severity: "note", message: `the node's policy accepts ${name}: ${reason}` }];
  return [
    {
      severity: "error",
      message: `the node's policy ${judged ? "refuses" : "cannot judge"} ${name}: ${reason}`,
      hint: `\`ctd-decoder trust check --policy ${settings.policy} ${name}\` shows each signature`,
    },
  ];
}
