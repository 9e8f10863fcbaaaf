import { isEncryptionAnnotation } from "../spec/annotations.ts";
import type { Descriptor } from "../spec/descriptor.ts";

/**
 * Annotations that describe a layer's plaintext to tools that fetch parts of it: zstd:chunked, eStargz, SOCI, nydus and
 * overlaybd. Beside ciphertext they are wrong, and they disclose digests of the plaintext's parts.
 */
const LAZY_PULL = [
  "io.github.containers.zstd-chunked.",
  "io.containers.estargz.",
  "containerd.io/snapshot/stargz/",
  "containerd.io/snapshot/remote/",
  "containerd.io/snapshot/nydus-",
  "containerd.io/snapshot/overlaybd/",
  "com.amazon.soci.",
] as const;

/**
 * A layer's descriptor without the annotations that must not survive encrypting or decrypting it. Encrypting: a stale
 * wrapped key or public option would be taken for the new key's. Decrypting: no HMAC covers lazy-pull annotations, so
 * anybody may have written them.
 */
export function withoutCryptAnnotations({ annotations = {}, ...descriptor }: Descriptor): Descriptor {
  const kept = Object.entries(annotations).filter(
    ([name]) => !isEncryptionAnnotation(name) && !LAZY_PULL.some((prefix) => name.startsWith(prefix)),
  );
  if (kept.length === 0) return descriptor as Descriptor;
  return { ...descriptor, annotations: Object.fromEntries(kept) } as Descriptor;
}
