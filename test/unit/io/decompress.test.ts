import { closeSync, constants, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, constants as zlib, zstdCompressSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { Expander } from "../../../src/io/decompress.ts";
import { Output } from "../../../src/io/output.ts";
import { flipBit, plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const descriptors: number[] = [];

afterEach(() => {
  for (const fd of descriptors.splice(0)) closeSync(fd);
});

interface Expanded {
  readonly code: string | undefined;
  readonly written: Buffer;
}

/** Expands `data` in pieces of `chunk` bytes. The first one has `first` bytes, if that is given. */
async function expand(data: Uint8Array, chunk = 65536, maxBytes = 1 << 30, first = chunk): Promise<Expanded> {
  const path = join(folder, "out");
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC);
  descriptors.push(fd);
  const expander = new Expander(new Output(fd, "the plaintext"), maxBytes);
  let code: string | undefined;
  try {
    for (let [at, end] = [0, first]; at < data.length; [at, end] = [end, end + chunk])
      await expander.write(data.subarray(at, end));
    await expander.finish();
  } catch (error) {
    code = String((error as { code?: string }).code);
  }
  return { code, written: readFileSync(path) };
}

const PLAIN = Buffer.from(Array.from({ length: 30_000 }, (_, i) => `line ${i}\n`).join(""));
const HALF = PLAIN.subarray(0, 150_000);
const OTHER_HALF = PLAIN.subarray(150_000);

/** RFC 8878 §3.1.2 */
function skippable(length: number): Buffer {
  const header = Buffer.from("5a2a4d1800000000", "hex");
  header.writeUInt32LE(length, 4);
  return Buffer.concat([header, Buffer.alloc(length, 7)]);
}

const zstdWithChecksum = (bytes: Uint8Array) =>
  zstdCompressSync(bytes, { params: { [zlib.ZSTD_c_checksumFlag]: 1 } });

const WHOLE: [string, Buffer][] = [
  ["gzip", gzipSync(PLAIN)],
  ["gzip of several members", Buffer.concat([gzipSync(HALF), gzipSync(OTHER_HALF)])],
  ["zstd", zstdCompressSync(PLAIN)],
  ["zstd with a checksum", zstdWithChecksum(PLAIN)],
  ["zstd of several frames", Buffer.concat([zstdCompressSync(HALF), zstdWithChecksum(OTHER_HALF)])],
  [
    "zstd with skippable frames",
    Buffer.concat([skippable(9), zstdCompressSync(PLAIN), skippable(0), skippable(70_000)]),
  ],
];

describe.each(WHOLE)("%s", (_name, data) => {
  test.each([29, 65_535, 65_536, 1 << 20])("in pieces of %i bytes", async (chunk) => {
    const { code, written } = await expand(data, chunk);
    expect(code).toBeUndefined();
    expect(written.equals(PLAIN)).toBe(true);
  });

  test.each([1, 2, 3])("after a first piece of %i bytes, which show no compression", async (first) => {
    const { code, written } = await expand(data, 65_536, 1 << 30, first);
    expect(code).toBeUndefined();
    expect(written.equals(PLAIN)).toBe(true);
  });

  test.each([1, 2, 3])("cut after %i bytes it is refused", async (length) => {
    expect(await expand(data.subarray(0, length), 1)).toMatchObject({
      code: "BAD_IMAGE",
      written: { length: 0 },
    });
  });

  test("cut anywhere it is refused, and its end withheld", async () => {
    const cuts = [1, 2, 3, 4, 5, 8, 9, 12, 100, data.length >> 1].map((length) => data.length - length);
    for (const cut of [5, 9, 10, 18, ...cuts]) {
      const { code, written } = await expand(data.subarray(0, cut));
      // Between two members or frames nothing shows that more was to come.
      if (code === undefined) expect(written.equals(HALF) || written.equals(PLAIN)).toBe(true);
      else {
        expect(code).toBe("BAD_IMAGE");
        expect(written.length).toBeLessThanOrEqual(PLAIN.length - 65_536);
        expect(written.equals(PLAIN.subarray(0, written.length))).toBe(true);
      }
    }
  });
});

test.each<[string, Buffer]>([
  ["nothing", Buffer.of()],
  ["a tar that isn't compressed", Buffer.alloc(10_240)],
  ["three bytes", Buffer.from("1f8b08", "hex")],
  ["gzip with a changed byte", flipBit(gzipSync(PLAIN), 1000)],
  ["gzip with a wrong checksum", flipBit(gzipSync(PLAIN), gzipSync(PLAIN).length - 6)],
  ["gzip and something else", Buffer.concat([gzipSync(HALF), Buffer.from("something else")])],
  ["zstd with a wrong checksum", flipBit(zstdWithChecksum(PLAIN), zstdWithChecksum(PLAIN).length - 1)],
  ["zstd and something else", Buffer.concat([zstdCompressSync(HALF), Buffer.from("something else")])],
  ["a zstd frame's magic number alone", Buffer.from("28b52ffd", "hex")],
  ["a skippable frame that is cut", skippable(100).subarray(0, 50)],
])("%s is refused", async (_what, data) => {
  for (const chunk of [7, 65_536]) expect((await expand(data, chunk)).code).toBe("BAD_IMAGE");
});

describe("what is too large", () => {
  const zeros = Buffer.alloc(20_000_000);

  test.each([
    ["gzip", gzipSync(zeros)],
    ["zstd", zstdCompressSync(zeros)],
  ])("%s stops at the limit", async (_name, data) => {
    const { code, written } = await expand(data, 65_536, 1_000_000);
    expect(code).toBe("LIMIT");
    expect(written.length).toBeLessThan(1_000_000);
    expect((await expand(data, 65_536, zeros.length)).written).toHaveLength(zeros.length);
    expect((await expand(data, 65_536, zeros.length - 1)).code).toBe("LIMIT");
  });
});

test.each(WHOLE)("%s is released while more arrives", async (_name, data) => {
  const path = join(folder, "early");
  const fd = openSync(path, "w");
  descriptors.push(fd);
  const expander = new Expander(new Output(fd, "the plaintext"), 1 << 30);
  await expander.write(data.subarray(0, data.length - 100));
  expect(statSync(path).size).toBeGreaterThan(100_000);
});

test("an output that fails is told", async () => {
  const fd = openSync("/dev/full", "w");
  descriptors.push(fd);
  const expander = new Expander(new Output(fd, "the plaintext"), 1 << 30);
  const writing = async () => {
    await expander.write(gzipSync(plainBytes(1_000_000)));
    await expander.finish();
  };
  await expect(writing()).rejects.toMatchObject({ code: "IO" });
});
