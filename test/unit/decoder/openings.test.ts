import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { FoundLayer } from "../../../src/containerd/payload.ts";
import { openings } from "../../../src/decoder/openings.ts";
import { FileInput } from "../../../src/io/file-input.ts";
import { loadKeys } from "../../../src/keys/load.ts";
import { claim, type Encrypted, encryptFor } from "../../support/encrypted.ts";
import { type KeyFiles, writeKeys } from "../../support/keys.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const path = join(folder, "blob");
const settings = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
let key: KeyFiles;
let right: Encrypted;
let wrong: Encrypted;
let alsoWrong: Encrypted;
/** For somebody else's key. */
let foreign: Encrypted;
/** The right layer's ciphertext, under a key that a stranger chose. */
let stranger: Encrypted;

beforeAll(async () => {
  key = await writeKeys(join(folder, "key"), "P-256");
  const encrypt = (text: string) => encryptFor([`jwe:${key.publicPath("spki.pem")}`], Buffer.from(text));
  [right, wrong, alsoWrong] = await Promise.all([encrypt("layer"), encrypt("another"), encrypt("a third")]);
  stranger = await claim(right, `jwe:${key.publicPath("spki.pem")}`);
  const other = await writeKeys(join(folder, "other"), "P-256");
  foreign = await encryptFor([`jwe:${other.publicPath("spki.pem")}`], Buffer.from("foreign"));
  writeFileSync(path, right.ciphertext);
});

function candidate({ descriptor }: Encrypted, size = right.ciphertext.length): FoundLayer {
  const { mediaType, digest, annotations = {} } = descriptor;
  const file = Object.assign(FileInput.open(path, "the blob"), { size });
  return {
    descriptor: { mediaType, digest, size, annotations },
    blob: { file, isInput: true, isRead: false },
  };
}

/** Whether each that is given is the right one, and the keys of all. */
async function opened(...groups: FoundLayer[][]) {
  const keys = await loadKeys({
    keysPath: dirname(key.privatePath("pkcs8.pem")),
    strictKeys: false,
    allowExternalSymlinks: false,
  });
  const given: boolean[] = [];
  const secrets: Uint8Array[] = [];
  for await (const { found, layer } of openings(groups, keys, settings)) {
    given.push(found.descriptor.annotations === right.descriptor.annotations);
    secrets.push(layer.options.key.bytes, layer.privateOptions.bytes);
    expect(layer.options.key.bytes.some((byte) => byte !== 0)).toBe(true);
    // The caller takes the next one only when this one's HMAC does not hold.
    if (given.at(-1)) break;
  }
  for (const secret of secrets) expect(secret.every((byte) => byte === 0)).toBe(true);
  return given;
}

const failing = (code: string) => expect.objectContaining({ code });

test("the one that opens alone is given, right or wrong", async () => {
  expect(await opened([candidate(right)])).toEqual([true]);
  expect(await opened([candidate(wrong)])).toEqual([false]);
});

test("an error of the program itself is thrown, although another one opens", async () => {
  const broken = candidate(right);
  const descriptor = { ...broken.descriptor, mediaType: undefined as never };
  await expect(opened([{ ...broken, descriptor }, candidate(right)])).rejects.toThrow(TypeError);
});

test("what the keys cost before they are tried is not charged to the first that fails", async () => {
  const spent = { user: 20_000_000, system: 0 };
  const clock = vi.spyOn(process, "cpuUsage").mockReturnValue(spent);
  expect(await opened([candidate(foreign), candidate(right)])).toEqual([true]);
  clock.mockRestore();
});

describe("one descriptor after the other is tried", () => {
  /** A descriptor that nothing opens, and whose trial moves a clock. */
  const slow = (move: () => void): FoundLayer => {
    const { descriptor, ...others } = candidate(foreign);
    return {
      ...others,
      get descriptor() {
        move();
        return descriptor;
      },
    };
  };

  test("for 120 s on the clock", async () => {
    let now = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
    onTestFinished(() => clock.mockRestore());
    const openedAfter = (milliseconds: number) => {
      now = 0;
      return opened([slow(() => (now = milliseconds)), candidate(right)]);
    };
    expect(await openedAfter(120_000)).toEqual([true]);
    await expect(openedAfter(120_001)).rejects.toThrow(failing("NO_KEY"));
  });

  test("for 10 s of processor time, counted from the second one", async () => {
    let user = 0;
    const clock = vi.spyOn(process, "cpuUsage").mockImplementation(() => ({ user, system: 0 }));
    onTestFinished(() => clock.mockRestore());
    const openedAfter = (microseconds: number) => {
      user = 0;
      return opened([candidate(foreign), slow(() => (user = microseconds)), candidate(right)]);
    };
    expect(await openedAfter(10_000_000)).toEqual([true]);
    await expect(openedAfter(10_000_001)).rejects.toThrow(failing("NO_KEY"));
  });
});

test("of several only the right one is given", async () => {
  expect(await opened([candidate(wrong), candidate(right)])).toEqual([true]);
  const groups = [
    [candidate(wrong), candidate(alsoWrong)],
    [candidate(wrong), candidate(right)],
  ];
  expect(await opened(...groups)).toEqual([true]);
});

test("after one that opened alone only right ones are given", async () => {
  const groups = [[candidate(wrong)], [candidate(wrong)], [candidate(right)]];
  expect(await opened(...groups)).toEqual([false, true]);
});

test("after one that opened alone, another wrong one is not given either", async () => {
  expect(await opened([candidate(wrong)], [candidate(alsoWrong)], [candidate(right)])).toEqual([false, true]);
});

test("of several descriptors with one key, that key is given before later groups are looked at", async () => {
  expect(await opened([candidate(right), candidate(right)], [candidate(stranger)])).toEqual([true]);
});

test("when none is right, the first is given, so that its refusal says why", async () => {
  expect(await opened([candidate(wrong), candidate(alsoWrong)], [candidate(wrong)])).toEqual([false]);
});

test("descriptors with the same key count once", async () => {
  expect(await opened([candidate(right), candidate(right)])).toEqual([true]);
  expect(await opened([candidate(wrong), candidate(wrong)])).toEqual([false]);
});

describe("a stranger's key under which the blob's HMAC holds, too", () => {
  test("beside the right one is a refusal, in whatever order", async () => {
    await expect(opened([candidate(right), candidate(stranger)])).rejects.toThrow(failing("CONTENT_STORE"));
    await expect(opened([candidate(stranger), candidate(right)])).rejects.toThrow(failing("CONTENT_STORE"));
    await expect(opened([candidate(wrong)], [candidate(stranger), candidate(right)])).rejects.toThrow(
      failing("CONTENT_STORE"),
    );
  });

  test("does not matter when the pull leases the right one only", async () => {
    expect(await opened([candidate(right)], [candidate(stranger)])).toEqual([true]);
  });
});

test("a blob is hashed as often as the limit allows, then nothing is given", async () => {
  const half = 17_179_869_184;
  const group = (size: number) => [
    candidate(wrong, size),
    candidate(alsoWrong, size),
    candidate(right, size),
  ];
  await expect(opened(group(half))).rejects.toThrow(failing("LIMIT"));
  expect(await opened(group(Math.floor(half / 2)))).toEqual([true]);
  expect(await opened([candidate(wrong, half), candidate(right, half)])).toEqual([true]);
});
