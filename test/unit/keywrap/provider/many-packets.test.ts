import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { unwrapLayer } from "../../../../src/keywrap/unwrap.ts";
import { KEYS_PREFIX } from "../../../../src/spec/annotations.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { base64, contextFor, requestsIn, script, settingsFor } from "./support.ts";

const folder = temporaryFolder();
const packets = ["one", "two", "three", "four"].map(base64);
const annotations = { [`${KEYS_PREFIX}provider.kms`]: packets.join(",") };

afterEach(() => {
  vi.restoreAllMocks();
});

test("each packet is tried, and every failure listed", async () => {
  const settings = settingsFor(folder, { kms: script("echo luckless; exit 5") });
  const { keys } = contextFor("kms", settings);
  const error = await unwrapLayer(annotations, keys, settings).catch((it) => it);
  expect(error.code).toBe("PROVIDER");
  expect(error.message.match(/ended with exit code 5/g)).toHaveLength(packets.length);
});

test("many packets for a slow provider don't add their deadlines up without end", async () => {
  const log = join(folder, "asked");
  const settings = settingsFor(folder, { kms: script(`cat >>${log}; echo >>${log}; exit 5`) });
  const { keys } = contextFor("kms", settings);
  let clock = 0;
  vi.spyOn(performance, "now").mockImplementation(() => (clock += 60_000));
  await expect(unwrapLayer(annotations, keys, settings)).rejects.toEqual(
    expect.objectContaining({ code: "LIMIT" }),
  );
  expect(requestsIn(log)).toHaveLength(2);
});
