/** Annotation names of the OCI image encryption specification (ocicrypt `spec`, `config/constants`). */
export const KEYS_PREFIX = "org.opencontainers.image.enc.keys.";
export const PUBLIC_OPTIONS = "org.opencontainers.image.enc.pubopts";
export const PROVIDER_PREFIX = "provider.";

/** The annotations of encryption: what decrypting removes from a descriptor. */
export function isEncryptionAnnotation(name: string): boolean {
  return name === PUBLIC_OPTIONS || name.startsWith(KEYS_PREFIX);
}
