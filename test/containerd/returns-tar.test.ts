import { beforeAll, test } from "vitest";
import { skopeo } from "../support/peers.ts";
import { tamper } from "./images.ts";
import { byCri, byCtr, describeNode } from "./suite.ts";

const start = { processors: "printed for tar", localPull: true } as const;

describeNode("with processors that decompress too", start, (suite) => {
  beforeAll(() => suite.encrypt(skopeo, "plain", "encrypted"));

  test("an image of gzip, plain and zstd layers runs, each layer decoded once, with a payload", async () => {
    await suite.expectPullsAndRuns("encrypted", byCri);
  });

  test("so it does without a payload", async () => {
    await suite.expectPullsAndRuns("encrypted", byCtr);
  });

  test("a forged plain-tar layer with the right diff ID is refused ten times of ten", async () => {
    tamper(suite.layout, "plain", "encrypted", "forged");
    await suite.expectRefused("forged", byCri, /ctd-decoder: error: /);
  });
});
