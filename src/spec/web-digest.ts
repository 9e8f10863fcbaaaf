/** Hashes of WebCrypto by the algorithms' names in digests. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ["sha256", "SHA-256"],
  ["sha384", "SHA-384"],
  ["sha512", "SHA-512"],
]);

/** The hash of bytes in memory, in hex. node:crypto hashes faster but takes longer to load than a small layer to decrypt. */
export async function hexDigest(bytes: Uint8Array<ArrayBuffer>, algorithm = "sha256"): Promise<string> {
  const name = NAMES.get(algorithm);
  if (name === undefined) throw new Error(`bug: no hash ${algorithm}`);
  return new Uint8Array(await crypto.subtle.digest(name, bytes)).toHex();
}
