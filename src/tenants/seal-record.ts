import { createHash, createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseJsonObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import { FolderLock } from "../io/lock.ts";
import { syncFolder } from "../io/staging.ts";
import type { Secret } from "../secret.ts";
import { parseDigest } from "../spec/digest.ts";
import * as LIMITS from "../system-limits.ts";

/**
 * Written before the first plaintext byte of a layer: which chain it becomes a part of, and a proof of the layer key that
 * opened it. Without a proof of the true key a forged packet, which opens with anybody's key, would pass for the right.
 */
export interface SealRecord {
  /** Digest of the encrypted layer. */
  readonly layer: string;
  /** OCI image-spec's ChainID of the snapshot that the layer completes. */
  readonly chain: string;
  /** Repositories that brought the layer: "registry.example.com/tenant-a/app". */
  readonly repositories: readonly string[];
  /** Whose key opened it: the node's own, or one of a tenant's Secret. */
  readonly owner: "node" | "tenant";
  /** HMAC-SHA256 under the layer key, in hexadecimal. Of a 256-bit key it reveals nothing. */
  readonly proof: string;
  /** RFC 3339. */
  readonly time: string;
}

/** A layer takes minutes to unpack at most; containerd gives up pulls that stand still. */
const PRUNE_AFTER_MS = 60 * 60 * 1000;
const PROOF_LABEL = "ctd-decoder seal\0";
const HEX_BYTES = /^[0-9a-f]{64}$/;

/** Proof that the holder of a layer key makes for a chain. */
export function proofOf(layerKey: Secret, chain: string): string {
  return createHmac("sha256", layerKey.bytes).update(PROOF_LABEL).update(chain).digest("hex");
}

export function isProofOf({ proof, chain }: SealRecord, layerKey: Secret): boolean {
  return timingSafeEqual(Buffer.from(proof, "hex"), Buffer.from(proofOf(layerKey, chain), "hex"));
}

/**
 * A folder with one subfolder for each sealed chain. It has one file for each layer that may have become that chain, and for each
 * key that opened the layer: a stranger's wrapped key opens a public ciphertext, too, and must not replace the true record.
 */
export class SealRecords {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Whether the folder exists: an administrator has turned sealing on. */
  get exists(): boolean {
    return statSync(this.#folder, { throwIfNoEntry: false })?.isDirectory() === true;
  }

  /**
   * Changes records while no other decoder does. Otherwise one decoder could remove a record that another has just written
   * again, and that one would release its layer without a record.
   * @throws DecoderError IO, TENANTS; whatever `change` throws
   */
  async changing(change: () => Promise<void>): Promise<void> {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw unwritable(this.#folder, error);
    }
    await FolderLock.during(this.#folder, change);
  }

  /**
   * Writes a record atomically and durably. containerd's snapshot survives a crash, so the record must survive it, too.
   * @throws DecoderError TENANTS: without a record the layer must not be released
   */
  async write(record: SealRecord): Promise<void> {
    const folder = this.#folderOf(record.chain);
    const path = join(folder, `${nameOf(record)}.json`);
    this.#refuseMore(folder, path);
    const unfinished = `${path}.${randomUUID()}`;
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeFileSync(unfinished, `${JSON.stringify(shortened(record))}\n`, { mode: 0o600, flush: true });
      renameSync(unfinished, path);
      await syncFolder(folder);
      await syncFolder(this.#folder);
    } catch (error) {
      removeQuietly(unfinished);
      throw unwritable(this.#folder, error);
    }
    // Earlier versions named a record by its layer alone. A second one that says the same would make the first doubtful.
    this.#removeIf(record.chain, (it, name) => nameOf(it) === nameOf(record) && name !== basename(path));
  }

  /**
   * Records of a chain. Empty for a chain that is not sealed.
   * @throws DecoderError TENANTS for a record that can't be read: what it would say is unknown
   */
  of(chain: string): SealRecord[] {
    const folder = this.#folderOf(chain);
    const names = this.#recordsIn(folder);
    if (names.length > LIMITS.sealRecords) throw unreadable(folder, "it holds too many records");
    return names.map((name) => this.#read(join(folder, name), chain));
  }

  /** Chain IDs that have records. */
  chains(): string[] {
    return this.#list(this.#folder).flatMap((name) => (HEX_BYTES.test(name) ? `sha256:${name}` : []));
  }

  /**
   * Removes the records of chains whose snapshot is gone. Younger ones stay: their layer is still being unpacked.
   * Call this under the lock.
   * @param alive reads which chains still have a snapshot
   */
  prune(alive: () => ReadonlySet<string>): string[] {
    const oldest = Date.now() - PRUNE_AFTER_MS;
    const old = this.chains().filter((chain) => {
      const stat = statSync(this.#folderOf(chain), { throwIfNoEntry: false });
      return stat !== undefined && stat.mtimeMs < oldest;
    });
    if (old.length === 0) return [];
    const living = alive();
    const dead = old.filter((chain) => !living.has(chain));
    for (const chain of dead) rmSync(this.#folderOf(chain), { recursive: true, force: true });
    return dead;
  }

  /**
   * Removes a chain's records of layers that neither completed the chain nor still may. Anyone can have such records written,
   * with images that name another's chain. Records that can't be read stay. Call this under the lock.
   */
  discard(chain: string, mayComplete: (layer: string) => boolean): void {
    this.#removeIf(chain, ({ layer }) => !mayComplete(layer));
  }

  #removeIf(chain: string, isDone: (record: SealRecord, name: string) => boolean): void {
    const folder = this.#folderOf(chain);
    for (const name of this.#recordsIn(folder)) {
      const path = join(folder, name);
      const record = this.#readable(path, chain);
      if (record !== undefined && isDone(record, name)) removeQuietly(path);
    }
  }

  /** One record too many would close the chain to everyone. So the layer that would need it is not released. */
  #refuseMore(folder: string, path: string): void {
    const names = this.#recordsIn(folder);
    if (names.length < LIMITS.sealRecords || names.includes(basename(path))) return;
    throw new DecoderError("TENANTS", `${folder} holds ${names.length} seal records of one chain already`, {
      hint: "several images with other keys claim this layer: remove those that do not belong on this node",
    });
  }

  #recordsIn(folder: string): string[] {
    return this.#list(folder).filter((name) => name.endsWith(".json"));
  }

  #readable(path: string, chain: string): SealRecord | undefined {
    try {
      return this.#read(path, chain);
    } catch (error) {
      if (error instanceof DecoderError) return undefined;
      throw error;
    }
  }

  #folderOf(chain: string): string {
    const digest = parseDigest(chain);
    if (digest?.algorithm !== "sha256")
      throw new DecoderError("TENANTS", "a chain ID is not a sha256 digest");
    return join(this.#folder, digest.hex);
  }

  #list(folder: string): string[] {
    try {
      return readdirSync(folder);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw unreadable(folder, describeSystemError(error));
    }
  }

  #read(path: string, chain: string): SealRecord {
    let bytes: Uint8Array;
    try {
      bytes = readSmallFile(path, LIMITS.sealRecordBytes);
    } catch (error) {
      throw unreadable(path, describeSystemError(error));
    }
    const record = parseJsonObject(bytes);
    const { layer, owner, proof, repositories } = record ?? {};
    const isWhole =
      record?.["chain"] === chain &&
      typeof layer === "string" &&
      typeof proof === "string" &&
      HEX_BYTES.test(proof) &&
      (owner === "node" || owner === "tenant") &&
      Array.isArray(repositories);
    if (!isWhole) throw unreadable(path, "it is not a seal record");
    return record as unknown as SealRecord;
  }
}

/** Removes a file and ignores errors: a leftover must neither hide an earlier error nor stop a pull. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // An unfinished record is not read. An extra record only makes the gate check more.
  }
}

/** Digests of other algorithms get a name of the same length. */
function nameOf({ layer, proof }: SealRecord): string {
  return createHash("sha256").update(`${layer} ${proof}`).digest("hex");
}

/** The record with so few repositories that it is read again. Anyone can push a layer to any number of them. */
function shortened(record: SealRecord): SealRecord {
  let left = LIMITS.sealRecordBytes / 2;
  const repositories = record.repositories.filter((it) => {
    left -= Buffer.byteLength(JSON.stringify(it)) + 1;
    return left >= 0;
  });
  return { ...record, repositories };
}

function unwritable(folder: string, cause: unknown): DecoderError {
  return new DecoderError(
    "TENANTS",
    `can't write a seal record below ${folder}: ${describeSystemError(cause)}`,
    { hint: "without the record no tenant could be kept from the layer, so it is not decrypted", cause },
  );
}

function unreadable(path: string, why: string): DecoderError {
  return new DecoderError("TENANTS", `the seal records in ${path} can't be read: ${why}`, {
    hint: "containers that use the chain are refused until it can; remove its snapshots and pull its images again",
  });
}
