import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Openers } from "../../../src/image/openers.ts";
import { kidOf } from "../../../src/keys/thumbprint.ts";
import { KEYS_PREFIX } from "../../../src/spec/annotations.ts";
import type { Descriptor } from "../../../src/spec/descriptor.ts";
import { encryptFor } from "../../support/encrypted.ts";
import { asymmetricKey, keySet } from "../../support/jwe.ts";
import { writeKeys } from "../../support/keys.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const folder = temporaryFolder();
const NAMES = ["a", "b", "stranger"] as const;
let descriptor: Descriptor;
let keys: ReturnType<typeof asymmetricKey>[];

beforeAll(async () => {
  const files = await Promise.all(NAMES.map((name) => writeKeys(`${folder}/${name}`, "P-256")));
  keys = files.map(({ privateKey }, i) => asymmetricKey(privateKey, { origin: NAMES[i] ?? "" }));
  const recipients = files.slice(0, 2).map((it) => `jwe:${it.publicPath("spki.pem")}`);
  ({ descriptor } = await encryptFor(recipients, Buffer.from("a layer")));
});
afterEach(() => vi.restoreAllMocks());

const openers = (layer = descriptor) => new Openers(keySet(...keys), SETTINGS).of(layer);

test("all keys that open a layer are told, and no other", async () => {
  const [a, b] = keys;
  if (a === undefined || b === undefined) throw new Error("no keys");
  expect(await openers()).toEqual([
    { scheme: "jwe", recipient: `ECDH-ES+A256KW P-256 kid=${kidOf(a)}`, key: "a", kid: kidOf(a) },
    { scheme: "jwe", recipient: `ECDH-ES+A256KW P-256 kid=${kidOf(b)}`, key: "b", kid: kidOf(b) },
  ]);
});

test("beside a packet that is broken and a provider that there is not", async () => {
  const others = { [`${KEYS_PREFIX}pgp`]: "?", [`${KEYS_PREFIX}provider.kms`]: "AA==" };
  const layer = { ...descriptor, annotations: { ...others, ...descriptor.annotations } };
  expect((await openers(layer)).map(({ key }) => key)).toEqual(["a", "b"]);
});

test("nobody opens a layer with more wrapped keys than the decoder takes", async () => {
  const providers = Array.from({ length: 64 }, (_, i) => [`${KEYS_PREFIX}provider.p${i}`, "AA=="]);
  const annotations = { ...descriptor.annotations, ...Object.fromEntries(providers) };
  expect(await openers({ ...descriptor, annotations })).toEqual([]);
});

describe("all keys together have the time of one layer:", () => {
  /** The names of the keys that open a layer. @param move is called when the last key but one is tried */
  async function openedBy(names: readonly string[], move: () => void): Promise<(string | undefined)[]> {
    const tried = names
      .map((name) => keys.find(({ origin }) => origin === name))
      .filter((it) => it !== undefined);
    let reads = 0;
    const layer: Descriptor = {
      ...descriptor,
      // Read once before any key, and then for each key.
      get annotations() {
        if (reads++ === names.length - 1) move();
        return descriptor.annotations ?? {};
      },
    };
    return (await new Openers(keySet(...tried), SETTINGS).of(layer)).map(({ key }) => key);
  }

  test("120 s on the clock", async () => {
    let now = 0;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const openedAfter = (milliseconds: number) => {
      now = 0;
      return openedBy(["stranger", "a"], () => (now = milliseconds));
    };
    expect(await openedAfter(120_000)).toEqual(["a"]);
    expect(await openedAfter(120_001)).toEqual([]);
  });

  test("10 s of processor time, counted from the second key", async () => {
    let user = 0;
    vi.spyOn(process, "cpuUsage").mockImplementation(() => ({ user, system: 0 }));
    const openedAfter = (microseconds: number) => {
      user = 0;
      return openedBy(["a", "stranger", "b"], () => (user = microseconds));
    };
    expect(await openedAfter(10_000_000)).toEqual(["a", "b"]);
    expect(await openedAfter(10_000_001)).toEqual(["a"]);
  });
});
