import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reportDecoder } from "../../../src/node/decoder-report.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

test.each<[script: string, version: string | undefined, message: RegExp]>([
  ["echo ctd-decoder 1.2.3-rc.1 x", "ctd-decoder 1.2.3-rc.1", /^$/],
  ["echo a ctd-decoder 1.2.3", undefined, /is another program than this ctd-decoder$/],
  ["echo ctd-decoder", undefined, /is another program/],
  ["echo ctd-decoder 1.2.3; exit 1", undefined, /is another program/],
  ["echo ctd-decoder 1.2.3; kill $$", undefined, /is another program/],
  [
    "echo 'call-out from containerd content stream plugins' >&2; exit 1",
    undefined,
    /is the decoder of containerd\/imgcrypt, in Go$/,
  ],
])("a program that does %j has the version %s", async (script, version, message) => {
  const path = join(mkdtempSync(join(folder, "bin-")), "ctd-decoder");
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  const report = await reportDecoder(path, { PATH: "/usr/bin:/bin" });
  expect([report.path, report.version]).toEqual([path, version]);
  expect(report.findings[0]?.message ?? "").toMatch(message);
});
