import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync } from "node:fs";
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

  test("gets advice on a path without permission", () => {
    const path = join(folder, "locked");
    mkdirSync(path, { mode: 0o700 });
    const { error } = call("inspect", "--json", `oci:${path}`);
    expect(error).toEqual({
      code: "IO",
      message: `can't read ${path}/oci-layout: permission denied`,
      hint: "run the command as a user who has this permission",
    });
    // A message that has a hint keeps it.
    expect(call("inspect", "--json", "oci:none").error.hint).toContain("an OCI layout is");
  });

  test("has no credentials, which is no fault", () => {
    const { error } = call("inspect", "--json", "--retry-times", "0", "docker://127.0.0.1:1/app");
    expect(error).toMatchObject({ code: "REGISTRY", message: expect.stringMatching(/refused/) });
  });
});
