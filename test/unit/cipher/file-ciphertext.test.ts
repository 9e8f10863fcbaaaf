import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { CHUNK_BYTES } from "../../../src/cipher/authenticator.ts";
import { FileCiphertext } from "../../../src/cipher/file-ciphertext.ts";
import { FileInput } from "../../../src/io/file-input.ts";
import { flipBit, plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const path = join(temporaryFolder(), "blob");
const open: number[] = [];

afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
});

/** A file that was read once. */
function readOnce(bytes: Buffer): { ciphertext: FileCiphertext; fd: number } {
  writeFileSync(path, bytes);
  const fd = openSync(path, "r+");
  open.push(fd);
  const ciphertext = new FileCiphertext(FileInput.open(path, "the blob"));
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
    ciphertext.append(bytes.subarray(at, at + CHUNK_BYTES));
  return { ciphertext, fd };
}

/** What comes out, and the code of the error that ends it. */
function readAgain(ciphertext: FileCiphertext): { bytes: Buffer; code: string | undefined } {
  const pieces: Buffer[] = [];
  try {
    for (const piece of ciphertext.pieces()) pieces.push(Buffer.from(piece));
  } catch (error) {
    return { bytes: Buffer.concat(pieces), code: (error as { code?: string }).code ?? String(error) };
  }
  return { bytes: Buffer.concat(pieces), code: undefined };
}

/** The last has more pieces than there is room for tags at first. */
test.each([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 7, 1030 * CHUNK_BYTES])(
  "%i bytes come out as they went in, as often as asked for",
  (length) => {
    const bytes = plainBytes(length);
    const { ciphertext } = readOnce(bytes);
    for (let time = 0; time < 2; time++) {
      const again = readAgain(ciphertext);
      expect(again.code).toBeUndefined();
      expect(again.bytes.equals(bytes)).toBe(true);
    }
  },
);

describe("of a file that is changed in between, only what is as it was comes out", () => {
  const BYTES = plainBytes(4 * CHUNK_BYTES + 1000);
  const piece = (index: number) => BYTES.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);

  function expectOnly(pieces: number, { ciphertext }: { ciphertext: FileCiphertext }): void {
    const { bytes, code } = readAgain(ciphertext);
    expect(code).toBe("IO");
    expect(bytes.equals(BYTES.subarray(0, pieces * CHUNK_BYTES))).toBe(true);
  }

  test.each([0, 1, 2, 3, 4].flatMap((index) => [0, 999].map((at) => ({ index, at }))))(
    "a bit in piece $index, at $at",
    ({ index, at }) => {
      const file = readOnce(BYTES);
      const position = index * CHUNK_BYTES + at;
      writeSync(file.fd, flipBit(BYTES, position), position, 1, position);
      expectOnly(index, file);
    },
  );

  test("two pieces that changed places", () => {
    const file = readOnce(BYTES);
    writeSync(file.fd, piece(2), 0, CHUNK_BYTES, CHUNK_BYTES);
    writeSync(file.fd, piece(1), 0, CHUNK_BYTES, 2 * CHUNK_BYTES);
    expectOnly(1, file);
  });

  test.each([0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 5, 4 * CHUNK_BYTES + 999])("cut to %i bytes", (length) => {
    const file = readOnce(BYTES);
    ftruncateSync(file.fd, length);
    expectOnly(Math.floor(length / CHUNK_BYTES), file);
  });
});

test("a piece after one that is not whole is a defect of the caller's", () => {
  const { ciphertext } = readOnce(plainBytes(1000));
  expect(() => ciphertext.append(Buffer.alloc(1))).toThrow(/^bug: /);
});

test("nothing is read again once it is closed, because its key is zeroed", () => {
  const { ciphertext } = readOnce(plainBytes(1000));
  ciphertext.close();
  expect(readAgain(ciphertext)).toEqual({ bytes: Buffer.alloc(0), code: "IO" });
});
