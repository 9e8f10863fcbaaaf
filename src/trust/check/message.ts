import { createHash, createVerify, type KeyObject, verify } from "node:crypto";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readPieces } from "../../io/file.ts";
import * as LIMITS from "../../system-limits.ts";

export type HashName = "sha256" | "sha384" | "sha512";

/** What a signature is over. */
export interface Message {
  digest(hash: HashName): Promise<Uint8Array>;
  /** @param hash null: the key's own scheme hashes (Ed25519). Never throws for a signature, however malformed. */
  verify(key: KeyObject, hash: HashName | null, signature: Uint8Array): Promise<boolean>;
}

/** A reason why a signature does not count: a clause without a full stop. */
export function untrusted(reason: string): DecoderError {
  return new DecoderError("UNTRUSTED", reason);
}

export function bytesMessage(bytes: Uint8Array): Message {
  return {
    digest: async (hash) => createHash(hash).update(bytes).digest(),
    verify: async (key, hash, signature) => verifyBytes(bytes, key, hash, signature),
  };
}

function verifyBytes(
  bytes: Uint8Array,
  key: KeyObject,
  hash: HashName | null,
  signature: Uint8Array,
): boolean {
  try {
    return verify(hash, bytes, key, signature);
  } catch {
    return false;
  }
}

/**
 * A file of any size, read again for each use.
 * @throws DecoderError from each method: NOT_FOUND or IO, and UNTRUSTED when it changes between two readings
 */
export function fileMessage(path: string): Message {
  let known: string | undefined;
  /** Passes every byte to `use`, and compares the whole with what the first reading saw. */
  const read = (use: (piece: Uint8Array) => void) => {
    const hash = createHash("sha256");
    try {
      readPieces(path, (piece) => {
        hash.update(piece);
        use(piece);
      });
    } catch (error) {
      throw unreadable(path, error);
    }
    const digest = hash.digest();
    known ??= digest.toString("hex");
    if (known !== digest.toString("hex")) throw untrusted(`${path} changed while its signature was checked`);
    return digest;
  };
  return {
    async digest(algorithm) {
      const hash = createHash(algorithm);
      const sha256 = read((chunk) => hash.update(chunk));
      return algorithm === "sha256" ? sha256 : hash.digest();
    },
    async verify(key, hash, signature) {
      if (hash === null) return verifyBytes(wholeFile(path, read), key, hash, signature);
      const verifier = createVerify(hash);
      read((chunk) => verifier.update(chunk));
      try {
        return verifier.verify(key, signature);
      } catch {
        return false;
      }
    },
  };
}

/** RFC 8032 §5.1.7 hashes the message twice, with the signature first: it can't be streamed. */
function wholeFile(path: string, read: (use: (piece: Uint8Array) => void) => Uint8Array): Uint8Array {
  const chunks: Uint8Array[] = [];
  let length = 0;
  read((chunk) => {
    length += chunk.length;
    if (length > LIMITS.ed25519FileBytes) {
      throw new DecoderError("LIMIT", `${path} is too large for an Ed25519 signature`, {
        hint: `Ed25519 needs the whole file in memory, and the most is ${LIMITS.ed25519FileBytes} bytes`,
      });
    }
    chunks.push(chunk.slice());
  });
  return Buffer.concat(chunks);
}

function unreadable(path: string, error: unknown): DecoderError {
  if (error instanceof DecoderError) return error;
  return new DecoderError("IO", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
}
