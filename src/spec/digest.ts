import { DecoderError } from "../errors.ts";

/**
 * Algorithm → hexadecimal digits, as containerd and registries accept them (opencontainers/go-digest; OCI image spec,
 * "Digests"). io/digester.ts computes digests.
 */
const ALGORITHMS: ReadonlyMap<string, number> = new Map([
  ["sha256", 64],
  ["sha384", 96],
  ["sha512", 128],
]);

interface Digest {
  readonly algorithm: string;
  readonly hex: string;
}

export const DIGEST_ALGORITHMS: readonly string[] = [...ALGORITHMS.keys()];

/** Splits "sha256:<hex>"; undefined for anything else. The parts of a digest are safe as file names. */
export function parseDigest(text: string): Digest | undefined {
  const colon = text.indexOf(":");
  const algorithm = text.slice(0, Math.max(colon, 0));
  const hex = text.slice(colon + 1);
  return ALGORITHMS.get(algorithm) === hex.length && /^[0-9a-f]+$/.test(hex) ? { algorithm, hex } : undefined;
}

/** @throws DecoderError BAD_DESCRIPTOR */
export function checkedDigest(text: string): Digest {
  const digest = parseDigest(text);
  if (digest === undefined) {
    throw new DecoderError(
      "BAD_DESCRIPTOR",
      `not a digest that can be checked: ${JSON.stringify(text.slice(0, 160))}`,
    );
  }
  return digest;
}
