/** The tests that should notice a mutant: those of its own file, then those of its room, then those of the executable. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Room → tests that run the built executable. */
const EXECUTABLE_TESTS: Readonly<Record<string, readonly string[]>> = {
  cipher: ["test/tamper/release.test.ts", "test/cli/decoder-streams.test.ts", "test/cli/from-blob.test.ts"],
  cli: ["test/cli/commands.test.ts", "test/cli/interrupted.test.ts", "test/cli/errors.test.ts"],
  containerd: ["test/cli/no-payload.test.ts", "test/cli/from-blob.test.ts"],
  decoder: ["test/cli/decoder.test.ts", "test/cli/audit.test.ts", "test/cli/decoder-streams.test.ts"],
  image: ["test/cli/commands.test.ts", "test/cli/round-trip.test.ts", "test/cli/recipients.test.ts"],
  io: ["test/cli/round-trip.test.ts", "test/cli/interrupted.test.ts", "test/cli/hostile.test.ts"],
  keys: ["test/cli/decoder-keys.test.ts"],
  keywrap: ["test/vectors", "test/cli/recipients.test.ts"],
  layer: ["test/cli/commands.test.ts", "test/vectors"],
  node: ["test/cli/doctor.test.ts", "test/cli/config.test.ts", "test/cli/install.test.ts"],
  process: ["test/interop/pkcs11.test.ts"],
};

export interface Stage {
  readonly tests: readonly string[];
  readonly needsBuild: boolean;
}

/** @param file "src/keys/walk.ts" */
export function stagesFor(project: string, file: string): Stage[] {
  const own = file.replace(/^src/, "test/unit").replace(/\.ts$/, ".test.ts");
  const [, room = ""] = file.split("/");
  const folder = `test/unit/${room}`;
  const stages: Stage[] = [];
  if (existsSync(join(project, own))) stages.push({ tests: [own], needsBuild: false });
  if (existsSync(join(project, folder)) && readdirSync(join(project, folder)).length > 0)
    stages.push({ tests: [folder], needsBuild: false });
  const executable = EXECUTABLE_TESTS[room] ?? [];
  if (executable.length > 0) stages.push({ tests: executable, needsBuild: true });
  return stages;
}
