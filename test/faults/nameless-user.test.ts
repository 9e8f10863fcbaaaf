import { spawnSync } from "node:child_process";
import { chmodSync, cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { describeWith, ours, root } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** A number that /etc/passwd does not have. In a container, a program often runs as such a user, and without HOME. */
const NOBODY = 54_321;

describeWith([ours, root], "a user without a name and without a home", {}, () => {
  const folder = temporaryFolder();
  const program = join(folder, "ctd-decoder");

  beforeAll(() => {
    for (const path of [dirname(folder), folder]) chmodSync(path, 0o755);
    cpSync(ours.command, program);
  });

  const call = (...args: readonly string[]) => {
    const { stdout } = spawnSync(program, args, {
      uid: NOBODY,
      gid: NOBODY,
      cwd: "/",
      env: {},
      encoding: "utf8",
    });
    return JSON.parse(stdout);
  };

  test("gets a report from doctor", () => {
    expect(call("doctor", "--json")).toHaveProperty("findings");
  });

  test("has no credentials, which is no fault", () => {
    const { error } = call("inspect", "--json", "--retry-times", "0", "docker://127.0.0.1:1/app");
    expect(error).toMatchObject({ code: "REGISTRY", message: expect.stringMatching(/refused/) });
  });
});
