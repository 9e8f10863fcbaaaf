/** A digest as containerd names blobs by it. node:crypto, which spec/digest.ts needs, would cost each layer 4 ms. */
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Whether a text is a digest, and so safe as a path. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** Where a blob lies in a store. @param digest a checked one */
export function blobPath(store: string, digest: string): string {
  return `${store}/blobs/${digest.replace(":", "/")}`;
}
