import { join } from "node:path";
import { isObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import { files } from "../process/files.ts";
import { startHash } from "../process/runtime.ts";
import { checkedDigest } from "../spec/digest.ts";
import * as LIMITS from "../system-limits.ts";
import { checkWriters } from "./owned-files.ts";
import type { TrustFile } from "./requirement.ts";

/** An image that was accepted. Refusals are not kept. */
interface StoredVerdict {
  /** Full name that the policy was asked about. */
  readonly name: string;
  readonly digest: string;
  readonly signer: string;
  readonly scope: string;
  /** RFC 3339. */
  readonly at: string;
  readonly expires: string;
  /** The program that checked. */
  readonly program: string;
  /** Absolute paths of the files that the verdict depends on. */
  readonly files: readonly string[];
  /** SHA-256 of these files, with their paths. */
  readonly hash: string;
}

interface NewVerdict extends Pick<StoredVerdict, "name" | "digest" | "signer" | "scope"> {
  /** When the signature ceases to count, milliseconds since 1970. The verdict then ends, too. */
  readonly until?: number | undefined;
}

/** What a verdict depends on besides the name: any change voids it. */
export interface VerdictBasis {
  readonly policyBytes: Uint8Array;
  /** Settings that change what a policy means. */
  readonly settings: string;
  /** What the requirement names: keys, keyrings, certificates, trusted roots. */
  readonly named: readonly TrustFile[];
  /** All files of the above, by absolute path. The first is the trust.toml, or a policy that is used without one. */
  readonly files: readonly TrustFile[];
}

/** Where verdicts are unless a trust.toml says otherwise. Below /run, a restart of the machine forgets them. */
export const VERDICT_FOLDER = "/run/ctd-decoder/trust";
/** Changes whenever the meaning of a check does. */
const FORMAT = "ctd-decoder trust verdict 3";
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const OTHERS = 0o077;

/** Verdicts in a folder of their own. */
export class Verdicts {
  readonly #folder: string;
  readonly #lifeMs: number;
  readonly #now: () => number;

  constructor(folder: string, lifeMs: number = LIMITS.verdictLifeMs, now: () => number = Date.now) {
    this.#folder = folder;
    this.#lifeMs = lifeMs;
    this.#now = now;
  }

  /** @throws DecoderError IO */
  write(verdict: NewVerdict, basis: VerdictBasis): void {
    const path = join(this.#folder, fileName(verdict.name, verdict.digest, basis));
    const temporary = `${path}.${crypto.randomUUID()}`;
    try {
      files.mkdirSync(this.#folder, { recursive: true, mode: DIRECTORY_MODE });
      this.#checkFolder();
      this.#removeOld();
      files.writeFileSync(temporary, textOf(this.#record(verdict, basis)), { flag: "wx", mode: FILE_MODE });
      files.renameSync(temporary, path);
    } catch (cause) {
      if (cause instanceof DecoderError) throw cause;
      remove(temporary);
      throw new DecoderError(
        "IO",
        `can't write a verdict to ${this.#folder}: ${describeSystemError(cause)}`,
        { cause },
      );
    }
  }

  #record({ until, ...verdict }: NewVerdict, basis: VerdictBasis): StoredVerdict {
    const now = this.#now();
    const end = Math.min(now + this.#lifeMs, until ?? Number.POSITIVE_INFINITY);
    const files = new Map(basis.files.map((file) => [file.name, file.bytes]));
    return {
      ...verdict,
      at: new Date(now).toISOString(),
      expires: new Date(end).toISOString(),
      program: thisProgram(),
      files: [...files.keys()],
      hash: hashOf([...files].flat()),
    };
  }

  /** Nothing else removes verdicts that have expired or became void, and the folder is in memory. */
  #removeOld(): void {
    const names = files.readdirSync(this.#folder);
    if (names.length < LIMITS.verdicts) return;
    const age = (name: string) =>
      files.statSync(join(this.#folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const oldestFirst = names.map((name) => ({ name, at: age(name) })).sort((a, b) => a.at - b.at);
    for (const { name } of oldestFirst.slice(0, names.length - LIMITS.verdicts / 2))
      remove(join(this.#folder, name));
  }

  /** The fresh verdict for a name and digest, if one exists. */
  read(name: string, digest: string, basis: VerdictBasis): StoredVerdict | undefined {
    const file = fileName(name, digest, basis);
    const verdict = this.#names().includes(file) ? this.#load(file) : undefined;
    return verdict?.name === name && verdict.digest === digest ? verdict : undefined;
  }

  /**
   * Whether this program has accepted a digest under any name, and no file that the verdict depends on has changed. The files
   * are compared and not parsed, because parsing them takes as long as decrypting a small layer.
   * @param file absolute path of the trust.toml, or of a policy that is used without one
   */
  holds(digest: string, file: string): boolean {
    const program = thisProgram();
    for (const verdict of this.#of(digest)) {
      const isOurs = verdict.program === program && verdict.files[0] === file;
      if (isOurs && areUnchanged(verdict)) return true;
    }
    return false;
  }

  /**
   * Names of the fresh verdicts for a digest. The caller must read each again with the basis of its name.
   */
  namesOf(digest: string): readonly string[] {
    return this.#of(digest).map(({ name }) => name);
  }

  #of(digest: string): readonly StoredVerdict[] {
    const { hex } = checkedDigest(digest);
    const found: StoredVerdict[] = [];
    let seen = 0;
    for (const file of this.#names()) {
      if (!file.startsWith(`${hex}.`)) continue;
      seen += 1;
      if (seen > LIMITS.verdictsOfDigest) break;
      const verdict = this.#load(file);
      if (verdict?.digest === digest) found.push(verdict);
    }
    return found;
  }

  /** Names of the files in the folder. Returns none if the folder does not exist, or if other users may write to it. */
  #names(): readonly string[] {
    try {
      this.#checkFolder();
      return files.readdirSync(this.#folder);
    } catch {
      return [];
    }
  }

  #load(file: string): StoredVerdict | undefined {
    try {
      const value = parseJsonObject(readSmallFile(join(this.#folder, file), LIMITS.verdictBytes));
      return value !== null && isVerdict(value) && this.#isFresh(value) ? value : undefined;
    } catch {
      // No verdict, or none that may be trusted.
      return undefined;
    }
  }

  #isFresh({ at, expires }: StoredVerdict): boolean {
    const now = this.#now();
    return Date.parse(at) <= now && now < Date.parse(expires);
  }

  /** @throws DecoderError IO when others could have written into the folder, CONFIG when they could replace it */
  #checkFolder(): void {
    const self = files.statSync("/proc/self").uid;
    checkWriters(this.#folder, self);
    const { uid, mode } = files.statSync(this.#folder);
    if (uid === self && (mode & OTHERS) === 0) return;
    throw new DecoderError("IO", `other users may write to ${this.#folder}, so its verdicts are not used`);
  }
}

function fileName(name: string, digest: string, basis: VerdictBasis): string {
  return `${checkedDigest(digest).hex}.${basisHash(name, basis)}`;
}

/** SHA-256 of all that the verdict depends on. */
function basisHash(name: string, { policyBytes, named, settings }: VerdictBasis): string {
  return hashOf([FORMAT, name, settings, policyBytes, ...named.flatMap((file) => [file.name, file.bytes])]);
}

/** SHA-256 of some parts, each with its length before it. */
function hashOf(parts: readonly (string | Uint8Array)[]): string {
  const hash = startHash("sha256");
  for (const part of parts) {
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    hash.update(Buffer.from(`${bytes.length}:`));
    hash.update(bytes);
  }
  return hash.digest().toHex();
}

/** A list of files that is too long is left out: each layer then reads the policy. */
function textOf(verdict: StoredVerdict): string {
  const text = `${JSON.stringify(verdict)}\n`;
  return Buffer.byteLength(text) <= LIMITS.verdictBytes
    ? text
    : `${JSON.stringify({ ...verdict, files: [] })}\n`;
}

/** Identifies the executable: another version may read the same policy in another way. */
function thisProgram(): string {
  const { dev, ino, size, mtimeMs } = files.statSync("/proc/self/exe");
  return [dev, ino, size, mtimeMs].join(":");
}

/** Whether the files have their former bytes, and only root could have changed them. */
function areUnchanged({ files, hash }: StoredVerdict): boolean {
  try {
    for (const path of files) checkWriters(path);
    const parts = files.flatMap((path) => [path, readSmallFile(path, LIMITS.policyBytes)]);
    return hashOf(parts) === hash;
  } catch {
    return false;
  }
}

const TEXTS = ["name", "digest", "signer", "scope", "at", "expires", "program", "hash"] as const;

function isVerdict(value: object): value is StoredVerdict {
  if (!isObject(value) || !TEXTS.every((field) => typeof value[field] === "string")) return false;
  const { files } = value;
  return Array.isArray(files) && files.every((path) => typeof path === "string");
}

function remove(path: string): void {
  try {
    files.unlinkSync(path);
  } catch {
    // It was never written.
  }
}
