import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WORKER_BYTES } from "../../src/cipher/authenticator.ts";
import { PUBLIC_OPTIONS } from "../../src/spec/annotations.ts";
import { decode } from "../support/decoder.ts";
import { flipBit, plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, ours } from "../support/peers.ts";
import { expectMessage, expectRefusal, JWE, type Sealed, seal, secretsOf } from "../support/sealed.ts";
import { temporaryFolder } from "../support/temporary.ts";

const KiB = 1024;
const WITHHELD = 64 * KiB;
/** Decoders at a time: their starting, not their work, takes the time. */
const PARALLEL = 4;

const folder = temporaryFolder();
const PAIR = generateKeyPairSync("ec", { namedCurve: "P-256" });
mkdirSync(join(folder, "keys"));
writeFileSync(join(folder, "keys/node.pem"), PAIR.privateKey.export({ format: "pem", type: "pkcs8" }));

interface Way {
  readonly way: string;
  readonly flags: readonly string[];
  /** What the descriptor tells where the change itself tells nothing. */
  readonly size?: number;
}

const SPOOLED = ["--spool-memory=4K"];
const STREAMING = ["--release=stream", ...SPOOLED];
/** Told such a size, a second thread authenticates, however long the layer is. */
const ON_TWO_THREADS = WORKER_BYTES + 1;
const WAYS: readonly Way[] = [
  { way: "in memory", flags: [] },
  { way: "spooled", flags: SPOOLED },
  { way: "streaming", flags: STREAMING },
  { way: "spooled, on two threads", flags: SPOOLED, size: ON_TWO_THREADS },
  { way: "streaming, on two threads", flags: STREAMING, size: ON_TWO_THREADS },
];
const SMALL = seal(plainBytes(40 * KiB), PAIR.publicKey);
const LARGE = seal(plainBytes(200 * KiB + 5), PAIR.publicKey);

interface Change {
  readonly layer: Sealed;
  readonly ciphertext: Buffer;
  /** What the descriptor says; undefined: what the way does, or nothing. */
  readonly size: number | undefined;
}

/** Gives the layer to decoders as it was changed, and expects each to refuse it without having released it. */
async function refuseAll(changes: readonly Change[], way: Way): Promise<void> {
  const left = [...changes];
  async function worker(): Promise<void> {
    for (let change = left.pop(); change !== undefined; change = left.pop()) await refuse(change, way);
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

async function refuse({ layer, ciphertext, size }: Change, { flags, ...told }: Way): Promise<void> {
  const args = ["--decryption-keys-path", join(folder, "keys"), ...flags];
  const descriptor = { ...layer.descriptor, size: size ?? told.size ?? 0 };
  const result = await decode(ours, { layer: ciphertext, payload: payload(descriptor), args });
  const secrets = secretsOf(layer, ciphertext);
  if (flags.includes("--release=stream")) {
    expect(result).toMatchObject({ exit: 1, signal: null });
    expect(result.stdout.length).toBeLessThanOrEqual(Math.max(0, ciphertext.length - WITHHELD));
    expectMessage(result.stderr, /not authentic|size mismatch/, secrets);
  } else {
    expectRefusal(result, /not authentic|size mismatch/, secrets);
  }
}

/** The first and the last byte, and those around the borders at which something inside changes. */
function positions(length: number): number[] {
  const borders = [16, 32, 4 * KiB, 64 * KiB, 128 * KiB, length - WITHHELD, length - 16];
  const around = borders.flatMap((border) => [border - 1, border, border + 1]);
  return [...new Set([0, 1, ...around, length - 1])].filter((position) => position >= 0 && position < length);
}

/**
 * Lengths of a cut without a border near them. Each way gets a fifth of them: a start of the executable takes long, and
 * release.test.ts cuts at a hundred to thousands of lengths in each way.
 */
const BETWEEN = Array.from({ length: 40 }, (_, i) => i * 1021);

describeWith([ours], "a changed layer", {}, () => {
  describe.each(WAYS.map((way, index) => ({ ...way, index })))("$way", ({ index, ...way }) => {
    test.each([SMALL, LARGE])("with one bit changed: layer %#", async (layer) => {
      const { ciphertext } = layer;
      const size = way.size ?? ciphertext.length;
      await refuseAll(
        positions(ciphertext.length).map((position) => ({
          layer,
          ciphertext: flipBit(ciphertext, position),
          size,
        })),
        way,
      );
    });

    test("cut", async () => {
      const others = BETWEEN.filter((_, at) => at % WAYS.length === index);
      const small = [...positions(40 * KiB), ...others].flatMap((length) => {
        const ciphertext = SMALL.ciphertext.subarray(0, length);
        const size = length % 2 === 0 ? SMALL.ciphertext.length : undefined;
        return { layer: SMALL, ciphertext, size };
      });
      const large = positions(LARGE.ciphertext.length).map((length) => ({
        layer: LARGE,
        ciphertext: LARGE.ciphertext.subarray(0, length),
        size: undefined,
      }));
      await refuseAll([...small, ...large], way);
    });

    test("with bytes after it", async () => {
      const changes = [SMALL, LARGE].flatMap((layer) =>
        [1, 16, 4 * KiB, 64 * KiB].flatMap((more) => {
          const ciphertext = Buffer.concat([layer.ciphertext, Buffer.alloc(more)]);
          return [undefined, layer.ciphertext.length, ciphertext.length].map((size) => ({
            layer,
            ciphertext,
            size,
          }));
        }),
      );
      await refuseAll(changes, way);
    });
  });
});

describeWith([ours], "a changed descriptor", {}, () => {
  const args = ["--decryption-keys-path", join(folder, "keys")];
  const { annotations } = SMALL.descriptor;

  async function refused(name: string, value: string, message: RegExp): Promise<void> {
    const descriptor = { ...SMALL.descriptor, annotations: { ...annotations, [name]: value } };
    const result = await decode(ours, { layer: SMALL.ciphertext, payload: payload(descriptor), args });
    expectRefusal(result, message, secretsOf(SMALL, SMALL.ciphertext));
  }

  test("another HMAC, which does not become known", async () => {
    for (const position of [0, 15, 31]) {
      const json = {
        cipher: "AES_256_CTR_HMAC_SHA256",
        hmac: flipBit(SMALL.hmac, position).toString("base64"),
      };
      await refused(PUBLIC_OPTIONS, Buffer.from(JSON.stringify(json)).toString("base64"), /not authentic/);
    }
  });

  test("a byte changed anywhere in the wrapped key", async () => {
    const packet = Buffer.from(annotations[JWE] ?? "", "base64");
    const step = Math.floor(packet.length / 24);
    for (let position = 0; position < packet.length; position += step) {
      // The case of a letter, a digit, or what JSON is made of.
      await refused(JWE, flipBit(packet, position, 0).toString("base64"), /no key here opens/);
    }
  });

  test("the wrapped key of another layer for the same node", async () => {
    const other = seal(plainBytes(40 * KiB), PAIR.publicKey, {
      privateOptions: { symkey: Buffer.alloc(32, 1).toString("base64") },
    });
    await refused(JWE, other.descriptor.annotations[JWE] ?? "", /not authentic/);
  });
});
