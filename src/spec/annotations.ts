/** Annotation names of the OCI image encryption specification (ocicrypt `spec`, `config/constants`). */
export const KEYS_PREFIX = "org.opencontainers.image.enc.keys.";
export const PUBLIC_OPTIONS = "org.opencontainers.image.enc.pubopts";

/** Whether decryption removes this annotation from a descriptor. */
export function isEncryptionAnnotation(name: string): boolean {
  return name === PUBLIC_OPTIONS || name.startsWith(KEYS_PREFIX);
}
