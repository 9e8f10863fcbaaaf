import { createPrivateKey, type KeyObject } from "node:crypto";
import type { PgpKeyring, Unusable } from "../../keys/keyset.ts";
import { type SecretPacket, unlockPacket } from "../../keys/pgp-unlock.ts";
import { SecretSubkeyPacket } from "../../openpgp/openpgp.ts";
import type { UnwrapContext } from "../scheme.ts";

/** RFC 9580 §5.5.3: the secret parts of an RSA key, u = p⁻¹ mod q. */
interface RsaParameters {
  readonly n: Uint8Array;
  readonly e: Uint8Array;
  readonly d: Uint8Array;
  readonly p: Uint8Array;
  readonly q: Uint8Array;
  readonly u: Uint8Array;
}

/** A primary key or subkey that can decrypt. Expired and revoked keys still open what was encrypted for them. */
export class SecretKey {
  readonly packet: SecretPacket;
  /** Lower-case hex. */
  readonly keyId: string;
  readonly fingerprint: string;
  /** For messages: "alice.asc 0x51a3…". */
  readonly label: string;
  /** Whether the first use costs a key derivation for each passphrase. */
  readonly isProtected: boolean;
  readonly #passphrases: PgpKeyring["passphrases"];
  #unlocked: Promise<Unusable | undefined> | undefined;
  #rsaKey: KeyObject | undefined;

  constructor(packet: SecretPacket, keyring: PgpKeyring) {
    this.packet = packet;
    this.keyId = packet.getKeyID().toHex();
    this.fingerprint = packet.getFingerprint();
    this.label = `${keyring.origin} 0x${this.keyId}`;
    this.isProtected = !packet.isDecrypted();
    this.#passphrases = keyring.passphrases;
  }

  /**
   * Unlocks the key once for all packets and layers, also those that are opened at the same time.
   * @returns why the key can't be used; undefined when it can
   */
  unlock(context: UnwrapContext): Promise<Unusable | undefined> {
    this.#unlocked ??= this.#unlock(context);
    return this.#unlocked;
  }

  async #unlock(context: UnwrapContext): Promise<Unusable | undefined> {
    if (!this.isProtected) return undefined;
    return await unlockPacket(this.packet, this.#passphrases, () => context.spend());
  }

  get isSubkey(): boolean {
    return this.packet instanceof SecretSubkeyPacket;
  }

  /** Length in bytes of an RSA modulus, an ElGamal prime or a point on a curve. */
  get publicBytes(): number {
    const { n, p, Q, A } = this.packet.publicParams as Readonly<Record<string, Uint8Array | undefined>>;
    return (n ?? p ?? Q ?? A)?.length ?? 0;
  }

  /** The key for node:crypto. @throws when the key's numbers are inconsistent */
  rsaKey(): KeyObject {
    this.#rsaKey ??= importRsa({
      ...this.packet.publicParams,
      ...this.packet.privateParams,
    } as RsaParameters);
    return this.#rsaKey;
  }
}

/** A JWK (RFC 7518 §6.3.2) has the inverse of q, OpenPGP that of p. So the primes change places. */
function importRsa({ n, e, d, p, q, u }: RsaParameters): KeyObject {
  const base64Url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const exponent = (prime: Uint8Array) => base64Url(modulo(d, prime));
  return createPrivateKey({
    format: "jwk",
    key: {
      kty: "RSA",
      n: base64Url(n),
      e: base64Url(e),
      d: base64Url(d),
      p: base64Url(q),
      q: base64Url(p),
      dp: exponent(q),
      dq: exponent(p),
      qi: base64Url(u),
    },
  });
}

/** d mod (prime - 1), big-endian. */
function modulo(d: Uint8Array, prime: Uint8Array): Uint8Array {
  const remainder = BigInt(`0x${d.toHex()}`) % (BigInt(`0x${prime.toHex()}`) - 1n);
  return Buffer.from(remainder.toString(16).padStart(prime.length * 2, "0"), "hex");
}
