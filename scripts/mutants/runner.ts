/** Applies mutants to a copy of the project and runs tests there. */
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Mutant, mutated } from "./mutant.ts";
import { type Stage, stagesFor } from "./tests.ts";

export type Fate = "caught" | "hung" | "survived";

/** Tests that fail without any change, and can't judge one. */
export class Unusable extends Error {
  override readonly name = "Unusable";
}

const COPIED = [
  "src",
  "test",
  "scripts",
  "deploy",
  "dist",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "vitest.config.ts",
  "biome.json",
  "README.md",
  "containerd-config.example.toml",
];
const LINKED = ["node_modules", ".peers"];
/** A mutant that takes this many times as long as the unchanged code hangs. */
const PATIENCE = 10;
const LEAST_MS = 60_000;

export class Runner {
  readonly #copy: string;
  /** Tests → how long they take on unchanged code, in milliseconds. */
  readonly #usual = new Map<string, number>();

  /** @param folder an empty folder for the copy */
  constructor(project: string, folder: string) {
    this.#copy = folder;
    mkdirSync(folder, { recursive: true });
    for (const name of COPIED) cpSync(join(project, name), join(folder, name), { recursive: true });
    for (const name of LINKED) symlinkSync(join(project, name), join(folder, name));
  }

  /** @throws Unusable if a test fails without any change */
  async judge(mutant: Mutant): Promise<Fate> {
    for (const stage of stagesFor(this.#copy, mutant.file)) {
      await this.#measure(stage);
      const fate = await this.#judgeBy(stage, mutant);
      if (fate !== "survived") return fate;
    }
    return "survived";
  }

  async #judgeBy(stage: Stage, mutant: Mutant): Promise<Fate> {
    const path = join(this.#copy, mutant.file);
    const source = readFileSync(path, "utf8");
    try {
      writeFileSync(path, mutated(source, mutant));
      return await this.#run(stage);
    } finally {
      writeFileSync(path, source);
    }
  }

  async #measure(stage: Stage): Promise<void> {
    const name = stage.tests.join(" ");
    if (this.#usual.has(name)) return;
    const start = performance.now();
    const fate = await this.#run(stage, Number.POSITIVE_INFINITY);
    if (fate !== "survived") throw new Unusable(`${name} fails on unchanged code`);
    this.#usual.set(name, performance.now() - start);
  }

  async #run({ tests, needsBuild }: Stage, limitMs?: number): Promise<Fate> {
    const usual = this.#usual.get(tests.join(" ")) ?? 0;
    const limit = limitMs ?? Math.max(LEAST_MS, usual * PATIENCE);
    if (needsBuild) {
      const built = await this.#command("node", ["scripts/build.ts"], limit);
      if (built !== "survived") return built;
    }
    return await this.#command("vitest", ["run", "--bail=1", "--reporter=dot", ...tests], limit);
  }

  /** The watchdog is a separate process, so it also ends a loop that never yields. */
  #command(name: string, args: readonly string[], limitMs: number): Promise<Fate> {
    return new Promise((resolve, reject) => {
      const child = spawn(join(this.#copy, "node_modules/.bin", name), args, {
        cwd: this.#copy,
        stdio: "ignore",
        detached: true,
      });
      let isHung = false;
      const stop = () => child.pid !== undefined && process.kill(-child.pid, "SIGKILL");
      process.once("exit", stop);
      const watchdog = setTimeout(
        () => {
          isHung = true;
          stop();
        },
        Math.min(limitMs, 2 ** 31 - 1),
      );
      child.on("error", reject);
      child.on("close", (code) => {
        clearTimeout(watchdog);
        process.off("exit", stop);
        resolve(isHung ? "hung" : code === 0 ? "survived" : "caught");
      });
    });
  }

  close(): void {
    rmSync(this.#copy, { recursive: true, force: true });
  }
}
