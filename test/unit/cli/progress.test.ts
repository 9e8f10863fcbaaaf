import { expect, test } from "vitest";
import { lineProgress } from "../../../src/cli/progress.ts";
import type { LayerReport } from "../../../src/image/progress.ts";

const digest = (digit: string) => `sha256:${digit.repeat(64)}`;
const LAYER: LayerReport = {
  platform: "linux/amd64",
  position: 126,
  action: "encrypted",
  digest: digest("b"),
  from: digest("a"),
  size: 100 * 1024 ** 2,
  mediaType: "application/vnd.oci.image.layer.v1.tar+encrypted",
  transfer: "copied",
};

function lineOf(layer: Partial<LayerReport>): string {
  let written = "";
  const show = (text: string) => {
    written += text;
  };
  lineProgress("encrypting", { show, columns: 80 }).finish({ ...LAYER, ...layer });
  return written;
}

test("a finished layer is one line, with its size and both short digests", () => {
  expect(lineOf({})).toBe(
    `linux/amd64 layer 126 encrypted, 100 MiB: ${"a".repeat(12)} -> ${"b".repeat(12)}\n`,
  );
});

test("a manifest without a known platform is named by its short digest, so that the line fits in 80 columns", () => {
  const line = lineOf({ platform: digest("c") });
  expect(line).toMatch(/^sha256:c{12} layer 126 encrypted, /);
  expect(line.length).toBeLessThanOrEqual(80 + "\n".length);
});

test("a layer that keeps its bytes has one digest", () => {
  expect(lineOf({ action: "rewrapped", digest: digest("a") })).toMatch(/MiB: a{12}\n$/);
});
