import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { expect, test } from "vitest";
import { exportFromGpg } from "../../../../src/keywrap/pgp/gpg.ts";
import { FakeTimers } from "../../../support/fake-timers.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();

/** Exports a key by a script in place of gpg, which is found by the PATH that it gets. */
function exported(script: string): Promise<Uint8Array> {
  const bin = mkdtempSync(join(folder, "bin-"));
  writeFileSync(join(bin, "gpg"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, "gpg"), 0o755);
  const environment = { PATH: [bin, process.env["PATH"]].join(delimiter) };
  return exportFromGpg("dev@example.test", {
    environment,
    providerTimeoutMs: 1000,
    providerLegacyDc: false,
    verbose: false,
  });
}

test("gpg has half a minute to find a recipient", async () => {
  const timers = new FakeTimers();
  const running = exported("exec sleep 1000");
  await timers.started(1);
  expect(await timers.endOf(running, 30_000)).toEqual({
    status: "rejected",
    reason: expect.objectContaining({ message: expect.stringContaining("did not answer within 30 s") }),
  });
});

test("gpg may export 1 MiB of keys, and no more", async () => {
  const sizeOf = async (bytes: number) => (await exported(`head -c ${bytes} /dev/zero`)).length;
  expect(await sizeOf(1_048_576)).toBe(1_048_576);
  await expect(sizeOf(1_048_577)).rejects.toThrow("selects too many keys");
});

test("the first line of gpg's complaint is shown", async () => {
  const complaint = exported("echo 'gpg: no keyring' >&2; echo 'gpg: more' >&2; exit 2");
  await expect(complaint).rejects.toThrow(/is not a file, and gpg failed: no keyring$/);
});
