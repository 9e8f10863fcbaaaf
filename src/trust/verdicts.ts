import { mkdirSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import * as LIMITS from "../limits.ts";
import { checkedDigest } from "../spec/digest.ts";
import { hexDigest } from "../spec/web-digest.ts";
import type { Requirement } from "./requirement.ts";
import { filesOfLeaf, leavesOf } from "./requirement-tree.ts";

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
}

/** What a verdict depends on besides the name: any change voids it. */
export interface VerdictBasis {
  readonly policyBytes: Uint8Array;
  readonly requirement: Requirement;
  /** Settings that change what a policy means. */
  readonly settings: string;
}

/** Changes whenever the meaning of a check does. */
const FORMAT = "ctd-decoder trust verdict 1";
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const OTHERS = 0o077;

/** Verdicts in a folder of their own, below /run: a restart of the machine forgets them. */
export class Verdicts {
  readonly #folder: string;
  readonly #lifeMs: number;
  readonly #now: () => number;

  constructor(folder: string, lifeMs: number, now: () => number = Date.now) {
    this.#folder = folder;
    this.#lifeMs = lifeMs;
    this.#now = now;
  }

  /** @throws DecoderError IO */
  async write(
    verdict: Pick<StoredVerdict, "name" | "digest" | "signer" | "scope">,
    basis: VerdictBasis,
  ): Promise<void> {
    const now = this.#now();
    const record: StoredVerdict = {
      ...verdict,
      at: new Date(now).toISOString(),
      expires: new Date(now + this.#lifeMs).toISOString(),
    };
    const path = await this.#path(verdict.name, verdict.digest, basis);
    const temporary = `${path}.${crypto.randomUUID()}`;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: DIRECTORY_MODE });
      this.#checkFolder();
      writeFileSync(temporary, `${JSON.stringify(record)}\n`, { flag: "wx", mode: FILE_MODE });
      renameSync(temporary, path);
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

  /** The fresh verdict for a name and digest, if one exists. */
  async read(name: string, digest: string, basis: VerdictBasis): Promise<StoredVerdict | undefined> {
    const verdict = this.#load(await this.#path(name, digest, basis));
    return verdict?.name === name && verdict.digest === digest ? verdict : undefined;
  }

  /**
   * Fresh verdicts for a digest under any name. The caller must read each again with the basis of its name.
   */
  namesOf(digest: string): readonly string[] {
    const { hex } = checkedDigest(digest);
    try {
      this.#checkFolder();
      return readdirSync(this.#folder)
        .filter((file) => file.startsWith(`${hex}.`))
        .slice(0, LIMITS.verdictsOfDigest)
        .flatMap((file) => this.#load(join(this.#folder, file))?.name ?? []);
    } catch {
      return [];
    }
  }

  #load(path: string): StoredVerdict | undefined {
    try {
      this.#checkFolder();
      const value = parseJsonObject(readSmallFile(path, LIMITS.verdictBytes));
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

  /** @throws DecoderError IO when others could have written into the folder */
  #checkFolder(): void {
    const { uid, mode } = statSync(this.#folder);
    if (uid === statSync("/proc/self").uid && (mode & OTHERS) === 0) return;
    throw new DecoderError(
      "IO",
      `${this.#folder} may be used by others, so that its verdicts are worth nothing`,
    );
  }

  async #path(name: string, digest: string, basis: VerdictBasis): Promise<string> {
    return join(this.#folder, `${checkedDigest(digest).hex}.${await basisHash(name, basis)}`);
  }
}

/** SHA-256 of all that the verdict depends on, each part with its length before it. */
async function basisHash(
  name: string,
  { policyBytes, requirement, settings }: VerdictBasis,
): Promise<string> {
  const files = [...leavesOf(requirement)].flatMap(filesOfLeaf);
  const parts = [FORMAT, name, settings, policyBytes, ...files.flatMap((file) => [file.name, file.bytes])];
  const chunks = parts.flatMap((part) => {
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    return [Buffer.from(`${bytes.length}:`), bytes];
  });
  return await hexDigest(Buffer.concat(chunks));
}

function isVerdict(value: object): value is StoredVerdict {
  const fields: readonly (keyof StoredVerdict)[] = ["name", "digest", "signer", "scope", "at", "expires"];
  return isObject(value) && fields.every((field) => typeof value[field] === "string");
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It was never written.
  }
}
