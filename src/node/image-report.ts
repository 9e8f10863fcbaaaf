import { DecoderError } from "../errors.ts";
import type { ImageInfo } from "../image/inspect.ts";
import type { KeySet } from "../keys/keyset.ts";
import type { WrapSettings } from "../keywrap/scheme.ts";
import type { SealRecords } from "../tenants/seal-record.ts";
import type { TransportSettings } from "../transport/transport.ts";
import { attempt } from "./attempt.ts";
import type { Finding } from "./finding.ts";

interface ImageOptions {
  /** The node's keys. */
  readonly keys?: KeySet;
  readonly settings: WrapSettings;
  /** How a registry is reached. */
  readonly transport?: TransportSettings;
  /** containerd's data folder. */
  readonly root: string;
}

/** A name that begins with a registry. */
const FULL_NAME = /^(?:localhost|[^/]*[.:][^/]*)\/./;

/**
 * Tries the node's keys on an image.
 * @param image "oci:DIR", "docker://NAME", or a name in containerd's store
 * @throws DecoderError
 */
export async function reportImage(
  image: string,
  { keys, settings, transport, root }: ImageOptions,
): Promise<ImageInfo> {
  const { inspectImage, inspectSource } = await import("../image/inspect.ts");
  const options = { platforms: [], settings, ...(keys && { keys }) };
  const { namesTransport, parseSource } = await import("../transport/reference.ts");
  if (namesTransport(image)) return await inspectImage({ ...options, source: parseSource(image, transport) });
  const { ContainerdImages } = await import("./containerd-images.ts");
  const stored = await new ContainerdImages(root).open(image);
  if (stored !== undefined) return await inspectSource(stored, options);
  if (!FULL_NAME.test(image)) {
    throw new DecoderError("NOT_FOUND", `containerd has no image named ${JSON.stringify(image)}`, {
      hint: "give the full name with its registry, such as docker.io/library/app:tag",
    });
  }
  // containerd keeps nothing of a pull that failed: only the registry has the image.
  return await inspectImage({ ...options, source: parseSource(`docker://${image}`, transport) });
}

interface UnpackedOptions extends ImageOptions {
  /** Seal records of a node with tenants, whose images mostly need keys of tenants. */
  readonly records?: SealRecords;
}

/** Images that run without any key, because they were unpacked when there was one. */
export async function unopenedImages({ keys, settings, root, records }: UnpackedOptions): Promise<Finding[]> {
  const { inspectSource } = await import("../image/inspect.ts");
  const { ContainerdImages } = await import("./containerd-images.ts");
  const findings: Finding[] = [];
  const options = { platforms: [], settings, ...(keys && { keys }) };
  await attempt([], async () => {
    for await (const { name, source, chains } of new ContainerdImages(root).unpacked()) {
      const info = await attempt([], () => inspectSource(source, options));
      if (info === undefined) continue;
      if (records !== undefined) findings.push(...unsealedImage(name, { info, chains, records }));
      if (records !== undefined || [...unopenedLayers(info)].length === 0) continue;
      findings.push({
        severity: "warning",
        message: `${name} is unpacked on this node, and runs although no key here opens it`,
        hint: `remove it by \`crictl rmi ${name}\``,
      });
    }
  });
  return findings;
}

interface Sealing {
  readonly info: ImageInfo;
  readonly chains: readonly string[];
  readonly records: SealRecords;
}

/** An image that was unpacked before the node had tenants, or whose records are lost. */
function* unsealedImage(name: string, { info, chains, records }: Sealing): Generator<Finding> {
  const sealed = new Set(records.chains());
  const layers = info.platforms.flatMap((it) => it.layers);
  const isOpen = layers.some((it, i) => it.encryption !== undefined && !sealed.has(chains[i] ?? ""));
  if (!isOpen) return;
  yield {
    severity: "warning",
    message: `${name} has a layer without a seal record: every Pod may use it`,
    hint: `remove it by \`crictl rmi ${name}\`, and pull it again`,
  };
}

export function* unopenedLayers({ platforms }: ImageInfo): Generator<Finding> {
  for (const { platform, layers } of platforms) {
    for (const { position, encryption } of layers) {
      if (encryption === undefined || encryption.opens) continue;
      yield {
        severity: "error",
        message: `no key here opens layer ${position} of the image for ${platform}`,
      };
    }
  }
}
