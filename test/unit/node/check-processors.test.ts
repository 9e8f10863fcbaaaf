import { expect, test } from "vitest";
import { checkProcessors } from "../../../src/node/check-processors.ts";

const TAR_ID = "io.containerd.ocicrypt.decoder.v1.tar";

test.each<[id: string, accepts: string[], isChecked: boolean]>([
  [TAR_ID, [], false],
  [TAR_ID, ["x"], true],
  ["other", ["x"], false],
  ["other", ["application/vnd.oci.image.layer.v1.tar+encrypted"], true],
])("the command of %s for %j is checked: %s", (id, accepts, isChecked) => {
  const processor = { accepts, returns: "", path: "/none", args: [], env: [], file: "/config.toml" };
  const lookup = { findProgram: () => undefined, exists: () => true };
  const messages = [...checkProcessors(new Map([[id, processor]]), lookup)].map(({ message }) => message);
  expect(messages.some((it) => it.includes("/none"))).toBe(isChecked);
  expect(messages.some((it) => it.includes("accepts x, which is not encrypted"))).toBe(
    isChecked && accepts[0] === "x",
  );
});

test.each([
  [undefined, /^run `ctd-decoder install`/],
  ["/found", /^`ctd-decoder config` prints/],
])("what to do about missing types if the program is %j", (program, hint) => {
  const processor = { accepts: [], returns: "", path: "ctd-decoder", args: [], env: [], file: undefined };
  const lookup = { findProgram: () => program, exists: () => true };
  const missing = [...checkProcessors(new Map([[TAR_ID, processor]]), lookup)].filter(({ message }) =>
    message.startsWith("no stream processor accepts "),
  );
  expect(missing.map((it) => it.hint)).toEqual(Array(2).fill(expect.stringMatching(hint)));
});
