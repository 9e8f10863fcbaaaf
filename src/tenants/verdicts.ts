import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as LIMITS from "../system-limits.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Which Pods have proven that they may use which chains. A container that starts again needs no API server then. A new
 * Pod has a new UID, so taking a Secret away stops new Pods.
 */
export class Verdicts {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  has(podUid: string, chain: string): boolean {
    return statSync(this.#path(podUid, chain), { throwIfNoEntry: false })?.isFile() === true;
  }

  /** A verdict that can't be stored is computed again when needed. */
  add(podUid: string, chain: string): void {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      this.#removeOld();
      writeFileSync(this.#path(podUid, chain), "", { mode: 0o600 });
    } catch {
      // The next container of the Pod asks the API server.
    }
  }

  #removeOld(): void {
    const names = readdirSync(this.#folder);
    if (names.length < LIMITS.podVerdicts) return;
    const oldest = Date.now() - DAY_MS;
    for (const name of names) {
      const path = join(this.#folder, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat !== undefined && stat.mtimeMs < oldest) rmSync(path, { force: true });
    }
  }

  #path(podUid: string, chain: string): string {
    return join(this.#folder, createHash("sha256").update(`${podUid}\0${chain}`).digest("hex"));
  }
}
