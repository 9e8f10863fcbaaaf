/** The tests that should notice a mutant: those of its own file, then those of its room, then those of the executable. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Room → tests that run the built executable. */
const EXECUTABLE_TESTS: Readonly<Record<string, readonly string[]>> = {
  cipher: ["test/tamper/release.test.ts", "test/cli/decoder-streams.test.ts", "test/cli/from-blob.test.ts"],
  cli: ["test/cli/commands.test.ts", "test/cli/interrupted.test.ts", "test/cli/errors.test.ts"],
  containerd: ["test/cli/no-payload.test.ts", "test/cli/from-blob.test.ts"],
  decoder: [
    "test/cli/trust-gate.test.ts",
    "test/cli/decoder.test.ts",
    "test/cli/audit.test.ts",
    "test/cli/decoder-streams.test.ts",
    "test/cli/refusal.test.ts",
  ],
  image: ["test/cli/commands.test.ts", "test/cli/round-trip.test.ts", "test/cli/recipients.test.ts"],
  io: [
    "test/cli/standard-output.test.ts",
    "test/cli/round-trip.test.ts",
    "test/cli/interrupted.test.ts",
    "test/cli/hostile.test.ts",
  ],
  keys: ["test/cli/decoder-keys.test.ts"],
  keywrap: ["test/vectors/vectors.test.ts", "test/cli/recipients.test.ts"],
  layer: ["test/cli/commands.test.ts", "test/vectors/vectors.test.ts"],
  node: [
    "test/cli/doctor.test.ts",
    "test/cli/doctor-running.test.ts",
    "test/cli/config.test.ts",
    "test/cli/install-trust.test.ts",
    "test/cli/install-tenants.test.ts",
    "test/cli/install.test.ts",
  ],
  process: ["test/interop/pkcs11.test.ts"],
  trust: [
    "test/cli/trust-gate.test.ts",
    "test/cli/verifier-call.test.ts",
    "test/cli/trust-explain.test.ts",
    "test/cli/trust-fetch.test.ts",
    "test/cli/trust-audit.test.ts",
  ],
};

/** Folder → unit tests of another room that are the main ones of its files. */
const TESTED_ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  "src/containerd/nri": ["test/unit/tenants/nri-gate.test.ts"],
  "src/containerd/store": [
    "test/unit/node/containerd-images.test.ts",
    "test/unit/tenants/layer-keys.test.ts",
  ],
  "src/keys/token": ["test/unit/keywrap/pkcs11/unwrap.test.ts", "test/unit/keywrap/pkcs11/wrap.test.ts"],
};

/** "types" is the compiler, which refuses some changes. */
export const STAGES = ["own", "room", "types", "executable"] as const;
export type StageName = (typeof STAGES)[number];

export interface Stage {
  readonly name: StageName;
  readonly tests: readonly string[];
}

/** Finds the tests in a copy of the project. */
export class Tests {
  readonly #project: string;
  readonly #imports = new Map<string, readonly string[]>();

  constructor(project: string) {
    this.#project = project;
  }

  /** @param file "src/keys/walk.ts" */
  stagesFor(file: string): Stage[] {
    const own = file.replace(/^src/, "test/unit").replace(/\.ts$/, ".test.ts");
    const [, room = ""] = file.split("/");
    const others = this.#testsIn(`test/unit/${room}`).filter((it) => it !== own && this.#reaches(it, file));
    const stages: Stage[] = [
      { name: "own", tests: existsSync(join(this.#project, own)) ? [own] : [] },
      { name: "room", tests: [...others, ...(TESTED_ELSEWHERE[dirname(file)] ?? [])] },
      { name: "types", tests: [] },
      { name: "executable", tests: EXECUTABLE_TESTS[room] ?? [] },
    ];
    return stages.filter(({ name, tests }) => name === "types" || tests.length > 0);
  }

  #testsIn(folder: string): string[] {
    if (!existsSync(join(this.#project, folder))) return [];
    return readdirSync(join(this.#project, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => `${folder}/${name}`)
      .sort();
  }

  /** A test that starts another program may run any file. */
  #reaches(test: string, file: string): boolean {
    const seen = new Set([test]);
    for (const one of seen) for (const imported of this.#importsOf(one)) seen.add(imported);
    return seen.has(file) || [...seen].some((it) => it.startsWith("test/support/cli"));
  }

  #importsOf(file: string): readonly string[] {
    let known = this.#imports.get(file);
    if (known === undefined) {
      const path = join(this.#project, file);
      const source = existsSync(path) ? readFileSync(path, "utf8") : "";
      const found = source.matchAll(/(?:from|import|import\(|URL\()\s*"(?<to>\.[^"]+\.ts)"/g);
      known = [...found].map(({ groups }) => join(dirname(file), groups?.["to"] ?? ""));
      this.#imports.set(file, known);
    }
    return known;
  }
}
