import { expect, test } from "vitest";
import { command } from "../support/cli.ts";
import { describeWith, ours } from "../support/peers.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const NAME = ["-name", "registry.test/app:1", "-digest", DIGEST];
const TYPE = ["-stdin-media-type", "application/vnd.oci.descriptor.v1+json"];
const DESCRIPTOR = Buffer.from(JSON.stringify({ digest: DIGEST, size: 1 }));

/** containerd shows standard output as the reason, and takes exit code 0 for an acceptance. */
describeWith([ours], "a call of the image verifier", {}, () => {
  test.each([
    ["as containerd makes it", [...NAME, ...TYPE]],
    ["with a new flag before the name", ["-operation", "pull", ...NAME, ...TYPE]],
    ["with a new flag at the end", [...NAME, ...TYPE, "-operation", "pull"]],
    ["with the name at the end", [...TYPE, "-digest", DIGEST, "-name", "registry.test/app:1"]],
    ["with a flag that has no value before the name", ["-quiet", ...NAME, ...TYPE]],
    ["with --version before the name", ["--version", ...NAME, ...TYPE]],
    ["with -h after the name", [...NAME, "-h", ...TYPE]],
  ])("%s is refused with one line", async (_what, args) => {
    const { exit, stdout } = await command(args, { input: DESCRIPTOR });
    expect(stdout.toString()).toMatch(/^trust: config: [^\n]+\n$/);
    expect(exit).toBe(1);
  });

  test("a command is not taken for one", async () => {
    const { exit, stdout, stderr } = await command(["trust", "check", ...NAME], { input: DESCRIPTOR });
    expect([exit, stdout.toString()]).toEqual([2, ""]);
    expect(stderr).toMatch(/^ctd-decoder: error: /);
  });
});
