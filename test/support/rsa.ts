import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface RsaPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Size of the modulus → committed private keys, PEM; then how many were handed out. */
const stock = new Map<number, readonly string[]>();
const taken = new Map<number, number>();

/**
 * A committed RSA key pair, for tests in which it does not matter how the key was made: making one takes up to seconds.
 * Successive calls return different keys until those of `rsa/BITS.pem` are used up, and then the same ones again.
 */
export function rsaPair(bits: number): RsaPair {
  const keys = stock.get(bits) ?? read(bits);
  stock.set(bits, keys);
  const count = taken.get(bits) ?? 0;
  taken.set(bits, count + 1);
  const privateKey = createPrivateKey(keys[count % keys.length] ?? "");
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

function read(bits: number): readonly string[] {
  return readFileSync(join(import.meta.dirname, `rsa/${bits}.pem`), "utf8").split(/(?=-----BEGIN )/);
}
