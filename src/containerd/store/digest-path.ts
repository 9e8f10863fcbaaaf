/** Where a blob lies in a store. @param digest a checked one */
export function blobPath(store: string, digest: string): string {
  return `${store}/blobs/${digest.replace(":", "/")}`;
}
