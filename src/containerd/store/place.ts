import { DecoderError } from "../../errors.ts";
import { exists } from "../../process/files.ts";

/** Where a content store is: a folder with `blobs` in it. */

/** The folder of the plugin in containerd's root. */
export const CONTENT_PLUGIN = "io.containerd.content.v1.content";

/** The path of a blob in a store. @param digest a valid digest */
export function blobPath(store: string, digest: string): string {
  return `${store}/blobs/${digest.replace(":", "/")}`;
}

/**
 * The store that holds a layer: the one named, or the one whose blob containerd has open.
 * @throws DecoderError CONTENT_STORE
 */
export async function storeOf(digest: string, contentStore: string | undefined): Promise<string> {
  if (contentStore !== undefined) return storeAt(contentStore);
  const { openBlobs } = await import("./open-blobs.ts");
  const { blobs, asked, problem } = openBlobs();
  const store = blobs.find((blob) => blob.digest === digest)?.store;
  if (store !== undefined) return store;
  throw new DecoderError(
    "CONTENT_STORE",
    problem ?? `${asked} does not read ${digest} from a content store`,
    {
      hint: "--content-store names containerd's folder",
    },
  );
}

/** The folder with `blobs` in it: the one named, or that of the plugin in containerd's root. @throws DecoderError CONTENT_STORE */
export function storeAt(folder: string): string {
  for (const store of [folder, `${folder}/${CONTENT_PLUGIN}`]) if (exists(`${store}/blobs`)) return store;
  throw new DecoderError("CONTENT_STORE", `${folder} is not a content store: it has no blobs`, {
    hint: `--content-store names a folder such as /var/lib/containerd/${CONTENT_PLUGIN}`,
  });
}
