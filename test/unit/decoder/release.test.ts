import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Audit } from "../../../src/decoder/audit.ts";
import type { Opening } from "../../../src/decoder/judge.ts";
import { type ReleaseOptions, releaseOpened } from "../../../src/decoder/release.ts";
import { DecoderError } from "../../../src/errors.ts";
import { FileInput } from "../../../src/io/file-input.ts";
import { Input } from "../../../src/io/input.ts";
import { Output } from "../../../src/io/output.ts";
import { OpenedLayer } from "../../../src/layer/open.ts";
import { Secret } from "../../../src/secret.ts";
import { sha256 } from "../../support/images.ts";
import { encryptLayer, flipBit, plainBytes } from "../../support/layer.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const [blobPath, outputPath] = [join(folder, "blob"), join(folder, "output")];
const LAYER = encryptLayer(plainBytes(1000));
const RIGHT_DIGEST = sha256(LAYER.ciphertext);
const OPTIONS: ReleaseOptions = {
  mode: "verified",
  spoolMemory: 64 * 1024,
  spoolDirectory: folder,
  verifyDigest: false,
  maxExpansion: { times: 1, atLeast: 1 },
};
const SILENT: Audit = { authentic: () => {}, refused: () => {} };

interface Candidate {
  readonly isRight: boolean;
  readonly digest?: string;
  /** Whether containerd feeds the blob to standard input. */
  readonly isInput?: boolean;
}

function opening({ isRight, digest = RIGHT_DIGEST, isInput = true }: Candidate, blob: FileInput): Opening {
  const options = LAYER.options(isRight ? {} : { hmac: flipBit(LAYER.hmac, 0) });
  const by = { scheme: "jwe", packet: 0 } as const;
  return {
    found: {
      descriptor: {
        mediaType: "application/vnd.oci.image.layer.v1.tar+encrypted",
        digest: digest === "" ? undefined : digest,
        size: LAYER.ciphertext.length,
        annotations: {},
      },
      blob: { file: blob, isInput, isRead: true },
    },
    layer: new OpenedLayer(options, new Secret(new Uint8Array(1)), by),
  };
}

/** Releases the first candidate that can be, and returns everything that was written, and the error's code. */
async function release(
  candidates: readonly Candidate[],
  changes: Partial<ReleaseOptions> = {},
  audit = SILENT,
) {
  writeFileSync(blobPath, LAYER.ciphertext);
  const blob = FileInput.open(blobPath, "the blob");
  const [from, to] = [openSync("/dev/null", "r"), openSync(outputPath, "w")];
  let tried = 0;
  async function* openings() {
    for (const candidate of candidates) {
      tried++;
      yield opening(candidate, blob);
    }
  }
  const streams = {
    input: new Input(from, "standard input"),
    output: new Output(to, "standard output"),
    mayReadBlobs: false,
  };
  try {
    const code = await releaseOpened(openings(), streams, { ...OPTIONS, ...changes }, audit).then(
      () => "released",
      (error: DecoderError) => error.code,
    );
    return {
      code,
      tried,
      written: readFileSync(outputPath).equals(LAYER.plaintext) ? "all" : readFileSync(outputPath).length,
    };
  } finally {
    for (const fd of [from, to]) closeSync(fd);
    blob.close();
  }
}

describe("another manifest's key is tried", () => {
  test("after a wrong HMAC", async () => {
    expect(await release([{ isRight: false }, { isRight: true }])).toEqual({
      code: "released",
      tried: 2,
      written: "all",
    });
  });

  test("and the audit log gets the descriptor that opened, not the first one", async () => {
    const digests: (string | undefined)[] = [];
    const audit: Audit = {
      ...SILENT,
      authentic: ({ descriptor }) => digests.push(descriptor.digest),
    };
    await release([{ isRight: false, digest: "sha256:first" }, { isRight: true }], {}, audit);
    expect(digests).toEqual([RIGHT_DIGEST]);
  });

  test("not after another digest than the descriptor's", async () => {
    const candidates = [{ isRight: true, digest: `sha256:${"0".repeat(64)}` }, { isRight: true }];
    expect(await release(candidates, { verifyDigest: true })).toEqual({
      code: "DIGEST_MISMATCH",
      tried: 1,
      written: 0,
    });
  });

  test("not after a line of the audit log that could not be written", async () => {
    let calls = 0;
    const audit: Audit = {
      ...SILENT,
      authentic: () => {
        if (calls++ === 0) throw new DecoderError("AUDIT", "the disk is full");
      },
    };
    expect(await release([{ isRight: true }, { isRight: true }], {}, audit)).toEqual({
      code: "AUDIT",
      tried: 1,
      written: 0,
    });
  });

  test("not where standard input is another file than the blob", async () => {
    const candidates = [{ isRight: false, isInput: false }, { isRight: true }];
    expect(await release(candidates)).toEqual({ code: "AUTHENTICATION", tried: 1, written: 0 });
  });

  test("not with streaming, where plaintext may have left", async () => {
    const candidates = [{ isRight: false }, { isRight: true }];
    expect(await release(candidates, { mode: "stream" })).toEqual({
      code: "AUTHENTICATION",
      tried: 1,
      written: 0,
    });
  });
});

test("when no key is right, nothing is written", async () => {
  expect(await release([{ isRight: false }, { isRight: false }])).toEqual({
    code: "AUTHENTICATION",
    tried: 2,
    written: 0,
  });
});

describe("--verify-digest", () => {
  test("refuses a descriptor without a digest", async () => {
    expect(await release([{ isRight: true, digest: "" }], { verifyDigest: true })).toEqual({
      code: "BAD_DESCRIPTOR",
      tried: 1,
      written: 0,
    });
    expect(await release([{ isRight: true, digest: "" }])).toMatchObject({ code: "released" });
  });

  test("releases a layer with the descriptor's digest", async () => {
    expect(await release([{ isRight: true }], { verifyDigest: true })).toMatchObject({ written: "all" });
  });
});
