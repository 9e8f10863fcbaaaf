/** Applies mutants to a copy of the project and runs tests there. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Answer, PROGRESS, type Request } from "./messages.ts";
import { type Mutant, mutated } from "./mutant.ts";
import { type Stage, type StageName, Tests } from "./tests.ts";

/** The stage whose tests noticed the change, or hung. */
export type Fate = StageName | "hung" | "survived";

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
/** A change that leaves something unused is not one that the compiler understands to be wrong. */
const TYPECHECK = ["--noEmit", "--noUnusedLocals", "false", "--noUnusedParameters", "false"];
const LINKED = ["node_modules", ".peers"];
/** A mutant hangs if no test ends for this many times as long as with the unchanged code. */
const PATIENCE = 10;
const LEAST_MS = 30_000;

type Outcome = "passed" | "failed" | "hung";

export class Runner {
  readonly #copy: string;
  readonly #tests: Tests;
  /** Test file → how long it takes on unchanged code, in milliseconds. */
  readonly #durations = new Map<string, number>();
  /** The longest time without the end of a test on unchanged code. */
  #usualWaitMs = 0;
  readonly #stages: readonly StageName[];
  /** Files that changed since the child's last request. */
  readonly #changed = new Set<string>();
  #unchangedTypes: Outcome | undefined;
  /** Of the last request. */
  #longestWaitMs = 0;
  #child: ChildProcess | undefined;

  /**
   * @param folder an empty folder for the copy
   * @param stages the stages that judge a mutant
   */
  constructor(project: string, folder: string, stages: readonly StageName[]) {
    this.#copy = folder;
    this.#stages = stages;
    mkdirSync(folder, { recursive: true });
    for (const name of COPIED) cpSync(join(project, name), join(folder, name), { recursive: true });
    for (const name of LINKED) symlinkSync(join(project, name), join(folder, name));
    this.#tests = new Tests(folder);
    process.once("exit", () => this.close());
  }

  /** @throws Unusable if a test fails without any change */
  async judge(mutant: Mutant): Promise<Fate> {
    const stages = this.#tests.stagesFor(mutant.file).filter(({ name }) => this.#stages.includes(name));
    for (const stage of stages) {
      await this.#measure(stage);
      const outcome = await this.#judgeBy(stage, mutant);
      if (outcome !== "passed") return outcome === "hung" ? "hung" : stage.name;
    }
    return "survived";
  }

  async #judgeBy(stage: Stage, mutant: Mutant): Promise<Outcome> {
    const path = join(this.#copy, mutant.file);
    const source = readFileSync(path, "utf8");
    // The quickest tests first: most changes are noticed by one of them.
    const tests = stage.tests.toSorted(
      (a, b) => (this.#durations.get(a) ?? 0) - (this.#durations.get(b) ?? 0),
    );
    const limitMs = Math.max(LEAST_MS, this.#usualWaitMs * PATIENCE);
    try {
      this.#changed.add(mutant.file);
      writeFileSync(path, mutated(source, mutant));
      return await this.#run({ ...stage, tests }, limitMs);
    } finally {
      writeFileSync(path, source);
      this.#changed.add(mutant.file);
    }
  }

  /** Runs those of the tests that have not run yet. */
  async #measure(stage: Stage): Promise<void> {
    if (stage.name === "types") {
      this.#unchangedTypes ??= await this.#run(stage, Number.POSITIVE_INFINITY);
      if (this.#unchangedTypes !== "passed") throw new Unusable("the compiler refuses unchanged code");
      return;
    }
    const tests = stage.tests.filter((it) => !this.#durations.has(it));
    if (tests.length === 0) return;
    const outcome = await this.#run({ ...stage, tests }, Number.POSITIVE_INFINITY);
    if (outcome !== "passed") throw new Unusable(`${tests.join(" ")} fails on unchanged code`);
    this.#usualWaitMs = Math.max(this.#usualWaitMs, this.#longestWaitMs);
  }

  async #run({ name, tests }: Stage, limitMs: number): Promise<Outcome> {
    if (name === "types") return await this.#command("node_modules/.bin/tsc", TYPECHECK);
    if (name === "executable") {
      const built = await this.#command(process.execPath, ["scripts/build.ts"]);
      if (built !== "passed") return built;
    }
    const child = this.#child ?? (await this.#start());
    const request: Request = { tests, changed: [...this.#changed] };
    this.#changed.clear();
    child.send(request);
    const { answer, longestWaitMs } = await answerOf(child, limitMs);
    this.#longestWaitMs = longestWaitMs;
    if (answer === undefined || answer === "ended") {
      this.#stop();
      return answer === undefined ? "hung" : "failed";
    }
    if (!answer.isPassed) return "failed";
    for (const [test, duration] of Object.entries(answer.durations)) this.#durations.set(test, duration);
    return "passed";
  }

  async #start(): Promise<ChildProcess> {
    const child = fork(join(this.#copy, "scripts/mutants/test-process.ts"), {
      cwd: this.#copy,
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      detached: true,
    });
    this.#child = child;
    await once(child, "message");
    return child;
  }

  /** The tests' own processes are of the child's group, and end with it, even if a loop in it never yields. */
  #stop(): void {
    const { pid } = this.#child ?? {};
    this.#child = undefined;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // It has already ended.
    }
  }

  async #command(name: string, args: readonly string[]): Promise<Outcome> {
    const command = spawn(name, args, { cwd: this.#copy, stdio: "ignore" });
    const [code] = await once(command, "close");
    return code === 0 ? "passed" : "failed";
  }

  close(): void {
    this.#stop();
    rmSync(this.#copy, { recursive: true, force: true });
  }
}

interface End {
  /** undefined: no test ended in time. */
  readonly answer: Answer | "ended" | undefined;
  readonly longestWaitMs: number;
}

/** @param limitMs the longest time without the end of a test */
function answerOf(child: ChildProcess, limitMs: number): Promise<End> {
  return new Promise((resolve) => {
    let [longestWaitMs, last] = [0, performance.now()];
    const done = (answer: End["answer"]) => {
      clearTimeout(watchdog);
      child.removeAllListeners("message");
      child.removeAllListeners("exit");
      resolve({ answer, longestWaitMs });
    };
    const watchdog = setTimeout(() => done(undefined), Math.min(limitMs, 2 ** 31 - 1));
    child.on("message", (message: Answer | typeof PROGRESS) => {
      const now = performance.now();
      [longestWaitMs, last] = [Math.max(longestWaitMs, now - last), now];
      watchdog.refresh();
      if (message !== PROGRESS) done(message);
    });
    child.on("exit", () => done("ended"));
  });
}
