import type { SignedBy, TrustFile } from "../requirement.ts";
import { type PublicKey, readPublicKeys } from "./key.ts";
import { logOfKey, readTrustedRoot, type TrustedLog, type TrustedRoot } from "./trusted-root.ts";

/** One file of a policy is read once, however many signatures are compared with it. */
const keys = new WeakMap<TrustFile, readonly PublicKey[]>();
const roots = new WeakMap<TrustFile, TrustedRoot>();

/** @throws DecoderError BAD_KEY */
export function keysOf(file: TrustFile): readonly PublicKey[] {
  const all = once(keys, file, readPublicKeys);
  return file.hasOneKey ? all.slice(0, 1) : all;
}

/** The leaf's own trusted root, or that of Sigstore's public instance. @throws DecoderError CONFIG */
export async function trustedRootOf({ trustedRoot }: SignedBy): Promise<TrustedRoot> {
  return once(roots, trustedRoot ?? (await publicGood()), readTrustedRoot);
}

/** The logs whose entries count. @throws DecoderError BAD_KEY, CONFIG */
export async function logsOf(leaf: SignedBy): Promise<readonly TrustedLog[]> {
  if (leaf.log.keys.length > 0) return leaf.log.keys.flatMap((file) => keysOf(file).map(logOfKey));
  return (await trustedRootOf(leaf)).logs;
}

let publicRoot: TrustFile | undefined;

async function publicGood(): Promise<TrustFile> {
  const { default: root } = await import("./public-good-root.json", { with: { type: "json" } });
  publicRoot ??= { name: "the public Sigstore instance's root", bytes: Buffer.from(JSON.stringify(root)) };
  return publicRoot;
}

function once<K extends object, V>(cache: WeakMap<K, V>, key: K, read: (key: K) => V): V {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const value = read(key);
  cache.set(key, value);
  return value;
}
