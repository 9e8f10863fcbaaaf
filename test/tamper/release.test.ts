import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WORKER_BYTES } from "../../src/cipher/authenticator.ts";
import { type ReleasePolicy, releaseLayer } from "../../src/cipher/release.ts";
import { FileInput } from "../../src/io/file-input.ts";
import { Input } from "../../src/io/input.ts";
import { type EncryptedLayer, encryptLayer, flipBit, plainBytes } from "../support/layer.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Every possible cut, and a changed bit around every block of the cipher, straight through the release in memory. */

const KiB = 1024;
/** At least so much streaming keeps back. */
const WITHHELD = 64 * KiB;
const spoolDirectory = temporaryFolder();

/** Told such a size, a second thread authenticates, however long the layer is. */
const LARGE = WORKER_BYTES + 1;

interface Way {
  readonly options: ReleasePolicy;
  /** It can be read twice. */
  readonly isFile?: boolean;
}

interface Path extends Way {
  readonly name: string;
  /** A cut at each so many bytes, and a bit of each so many blocks. By default every one; what is slow has fewer. */
  readonly step: number;
  /** The size that the descriptor tells where a test has none of its own. */
  readonly size?: number;
}

const SPOOLED: ReleasePolicy = { mode: "verified", spoolMemory: 4 * KiB, spoolDirectory };
const STREAMING: ReleasePolicy = { ...SPOOLED, mode: "stream" };
const PATHS: readonly Path[] = [
  { name: "in memory", step: 1, options: { ...SPOOLED, spoolMemory: 16 * KiB * KiB } },
  { name: "spooled", step: 1, options: SPOOLED },
  { name: "left in its file", step: 3, options: SPOOLED, isFile: true },
  { name: "streaming", step: 3, options: STREAMING },
  { name: "spooled, on two threads", step: 121, options: SPOOLED, size: LARGE },
  { name: "left in its file, on two threads", step: 121, options: SPOOLED, size: LARGE, isFile: true },
  { name: "streaming, on two threads", step: 121, options: STREAMING, size: LARGE },
];

class MemoryInput extends Input {
  #rest: Uint8Array;

  constructor(bytes: Uint8Array) {
    super(-1, "the ciphertext");
    this.#rest = bytes;
  }

  override read(buffer: Uint8Array, offset = 0, length = buffer.length - offset): number {
    const part = this.#rest.subarray(0, Math.min(length, WITHHELD));
    buffer.set(part, offset);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }
}

/** The error's code ("" for none) and how many bytes came out. */
async function outcome(
  layer: EncryptedLayer,
  ciphertext: Uint8Array,
  { options, isFile = false }: Way,
  size?: number,
): Promise<string> {
  let released = 0;
  const input = isFile ? fileOf(ciphertext) : new MemoryInput(ciphertext);
  const sink = {
    write: (bytes: Uint8Array) => {
      released += bytes.length;
    },
  };
  try {
    await releaseLayer({ input, output: sink }, layer.options(), { size, digest: undefined }, options);
    return `released ${released}`;
  } catch (error) {
    return `${(error as { code?: string }).code} ${released}`;
  } finally {
    if (input instanceof FileInput) input.close();
  }
}

function fileOf(ciphertext: Uint8Array): FileInput {
  const path = join(spoolDirectory, "ciphertext");
  writeFileSync(path, ciphertext);
  const file = FileInput.open(path, "the ciphertext");
  rmSync(path);
  return file;
}

/** Outcomes awaited at a time, most of which wait for another thread. */
const AT_A_TIME = 16;

/** How often which outcome came. */
async function tally(outcomes: Generator<Promise<string>>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const count = async () => {
    for (const one of outcomes) {
      const text = await one;
      counts[text] = (counts[text] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, count));
  return counts;
}

/** Three times what is held in memory, and a part of a block. A larger layer has more cuts, but none of another kind. */
const LAYER = encryptLayer(plainBytes(12 * KiB + 5));
const { ciphertext } = LAYER;
const LENGTH = ciphertext.length;

describe.each(PATHS)("a layer of 12 KiB, $name", ({ step, size, ...way }) => {
  test("whole, it opens", async () => {
    expect(await outcome(LAYER, ciphertext, way, size)).toBe(`released ${LENGTH}`);
    expect(await outcome(LAYER, ciphertext, way, LENGTH)).toBe(`released ${LENGTH}`);
  });

  test("cut short, nothing comes out", async () => {
    function* cuts() {
      // The size is told for every other one.
      for (let length = 0; length < LENGTH; length += step) {
        yield outcome(
          LAYER,
          ciphertext.subarray(0, length),
          way,
          length % 2 === 0 && size === undefined ? LENGTH : size,
        );
      }
    }
    expect(await tally(cuts())).toEqual({ "AUTHENTICATION 0": Math.ceil(LENGTH / step) });
  });

  test("with a bit changed around every block, nothing comes out", async () => {
    const positions = new Set([0, LENGTH - 1]);
    for (let block = 0; block <= LENGTH; block += 16 * step) {
      for (const position of [block - 1, block, block + 1]) {
        if (position >= 0 && position < LENGTH) positions.add(position);
      }
    }
    function* flips() {
      for (const position of positions) yield outcome(LAYER, flipBit(ciphertext, position), way, size);
    }
    expect(await tally(flips())).toEqual({ "AUTHENTICATION 0": positions.size });
  });

  test("with bytes after it, nothing comes out", async () => {
    for (const more of [1, 15, 16, 17, 1000, 4 * KiB]) {
      for (const tail of [Buffer.alloc(more), plainBytes(more)]) {
        const longer = Buffer.concat([ciphertext, tail]);
        expect(await outcome(LAYER, longer, way, size)).toBe("AUTHENTICATION 0");
        expect(await outcome(LAYER, longer, way, LENGTH)).toBe("SIZE_MISMATCH 0");
        expect(await outcome(LAYER, longer, way, LENGTH + more)).toBe("AUTHENTICATION 0");
      }
    }
  });

  test("with blocks exchanged, doubled or left out, nothing comes out", async () => {
    const part = (from: number, to: number) => ciphertext.subarray(from, to);
    for (const unit of [16, 4 * KiB]) {
      for (const mixed of [
        [part(unit, 2 * unit), part(0, unit), part(2 * unit, LENGTH)],
        [part(0, unit), part(0, LENGTH - unit)],
        [part(unit, LENGTH)],
        [part(unit, LENGTH), part(0, unit)],
      ]) {
        expect(await outcome(LAYER, Buffer.concat(mixed), way, size)).toBe("AUTHENTICATION 0");
      }
    }
  });

  test("with any bit of the HMAC changed, nothing comes out", async () => {
    const every = size === undefined ? 1 : 37;
    function* flips() {
      for (let bit = 0; bit < 256; bit += every) {
        const changed = {
          ...LAYER,
          options: () => LAYER.options({ hmac: flipBit(LAYER.hmac, bit >> 3, bit & 7) }),
        };
        yield outcome(changed, ciphertext, way, size);
      }
    }
    expect(await tally(flips())).toEqual({ "AUTHENTICATION 0": Math.ceil(256 / every) });
  });
});

test("streaming never releases the last 64 KiB of what is not authentic", async () => {
  const large = encryptLayer(plainBytes(300_000));
  for (let length = 0; length < 300_000; length += 997) {
    const [code, released] = (
      await outcome(large, large.ciphertext.subarray(0, length), { options: STREAMING })
    ).split(" ");
    expect(code).toBe("AUTHENTICATION");
    expect(Number(released)).toBeLessThanOrEqual(Math.max(0, length - WITHHELD));
  }
});
