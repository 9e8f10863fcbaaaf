import { describe, expect, test } from "vitest";
import { campaign } from "./campaign.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { prepared, TARGETS } from "./targets.ts";

/** Long campaigns: npm run fuzz. */
const RUNS = 800;

describe("changed inputs end with a result or a DecoderError, in bounded time and memory", () => {
  test.each([...TARGETS])("%s", async (_name, target) => {
    const { executions, findings } = await campaign(target, { runs: RUNS, seed: 1 });
    expect(findings.map(({ seed, what }) => `seed ${seed}: ${what}`)).toEqual([]);
    expect(executions).toBe(RUNS);
  });
});

describe("a campaign", () => {
  const target = TARGETS.get("any");
  if (target === undefined) throw new Error("bug: the target is gone");

  test("keeps what a target throws that is no DecoderError, with the seed that gives the input again", async () => {
    const crashing = {
      ...target,
      prepare: () => (bytes: Uint8Array) => {
        if (bytes.length % 7 === 0) throw new RangeError("out of range");
      },
    };
    const { findings } = await campaign(crashing, { runs: 1000, seed: 5, findingsAtMost: 3 });
    expect(findings).toHaveLength(3);
    const { seeds, close } = await prepared(target);
    close();
    for (const { seed, input, what } of findings) {
      expect(what).toContain("out of range");
      expect(mutate(target.structure, seeds, new Random(seed)).equals(input)).toBe(true);
    }
  });

  test("sees a target that takes too long", async () => {
    const work = () => {
      const start = process.cpuUsage();
      for (
        let spent = process.cpuUsage(start);
        spent.user + spent.system < 2_100_000;
        spent = process.cpuUsage(start)
      ) {
        for (let i = 0; i < 1e6; i++) Math.sqrt(i);
      }
    };
    const slow = { ...target, prepare: () => work };
    const { findings } = await campaign(slow, { runs: 1, seed: 1 });
    expect(findings).toMatchObject([{ what: expect.stringMatching(/^it took 2\d{3} ms/) }]);
  });
});
