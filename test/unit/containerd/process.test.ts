import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { bootTime, printedVersion, runningContainerds } from "../../../src/containerd/process.ts";
import { parseContainerdVersion } from "../../../src/containerd/version.ts";
import { containerd, describeWith } from "../../support/peers.ts";
import { procFolder } from "../../support/proc.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

test("servers are found with their configuration and PATH, and nothing else is", () => {
  const now = Date.parse("2026-11-27T00:00:00Z");
  vi.spyOn(Date, "now").mockReturnValue(now);
  onTestFinished(() => void vi.restoreAllMocks());
  const root = procFolder(folder, {
    "10": { args: [], env: ["A=b", "PATH=/usr/bin:/bin"], started: 250 },
    "11": { args: ["--config", "/etc/other.toml", "--log-level", "debug"] },
    "12": { args: ["-c", "relative.toml", "-a", "/run/k3s/containerd/containerd.sock"], mnt: "mnt:[2]" },
    "13": { args: ["--config=/x.toml"] },
    "14": { args: ["config", "dump"] },
    "15": { comm: "containerd-shim", args: [] },
    "16": { comm: "bash", args: [] },
  });
  const common = { executable: "/usr/bin/containerd", searchPath: "", sharesFiles: true };
  expect(runningContainerds(root)).toEqual([
    {
      ...common,
      pid: 10,
      configFile: "/etc/containerd/config.toml",
      searchPath: "/usr/bin:/bin",
      started: { earliest: now - 5_000_250 + 2_500 - 10, latest: now - 5_000_250 + 2_500 + 11 },
    },
    { ...common, pid: 11, configFile: "/etc/other.toml" },
    { ...common, pid: 12, configFile: "/srv/relative.toml", sharesFiles: false },
    { ...common, pid: 13, configFile: "/x.toml" },
  ]);
  expect(runningContainerds(join(folder, "none"))).toEqual([]);
});

test("this machine's start is known to some hundredths of a second", () => {
  const [first, second] = [bootTime(), bootTime()];
  if (first === undefined || second === undefined) throw new Error("/proc has no uptime");
  expect(first.latest).toBeGreaterThan(first.earliest);
  expect(second.earliest).toBeLessThanOrEqual(first.latest);
  expect(first.earliest).toBeLessThanOrEqual(second.latest);
});

test.each([
  ["containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", [1, 6, 20]],
  ["containerd containerd.io v1.7.2 0cae528dd6cb557f7201036e9f43420650207b58", [1, 7, 2]],
  ["containerd github.com/containerd/containerd/v2 v2.1.0-rc.1 abc", [2, 1, 0]],
  ["containerd github.com/k3s-io/containerd v2.0.5-k3s1", [2, 0, 5]],
  ["2.x", [2, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]],
  ["1.7", [1, 7, Number.POSITIVE_INFINITY]],
])("the version in %j", (text, [major, minor, patch]) => {
  expect(parseContainerdVersion(text)).toEqual({ major, minor, patch });
});

test.each(["", "containerd", "two", "2", "containerd github.com/containerd/containerd unknown"])(
  "no version in %j",
  (text) => expect(parseContainerdVersion(text)).toBeUndefined(),
);

describeWith([containerd], "containerd itself", {}, () => {
  test("tells its version", () => {
    expect(parseContainerdVersion(printedVersion(containerd.command))).toMatchObject({
      major: expect.any(Number),
    });
    expect(printedVersion("/none")).toBe("");
  });
});
