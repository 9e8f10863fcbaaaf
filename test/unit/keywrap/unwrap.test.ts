import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { DecoderError } from "../../../src/errors.ts";
import type { KeySet } from "../../../src/keys/keyset.ts";
import { SCHEMES, schemeOf } from "../../../src/keywrap/schemes.ts";
import { packetsOf, unwrapLayer } from "../../../src/keywrap/unwrap.ts";
import { asymmetricKey, flattenedJwe, general, generalJwe, keySet } from "../../support/jwe.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

const PREFIX = "org.opencontainers.image.enc.keys.";
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const PLAIN = Buffer.from('{"symkey":"c2VjcmV0"}');

const ec = () => generateKeyPairSync("ec", { namedCurve: "P-256" });
const [MINE, OTHER] = [ec(), ec()];
const jwe = (key: KeyObject, header: object = {}) =>
  flattenedJwe({ key, alg: "ECDH-ES+A256KW", header: header as Record<string, unknown> }, PLAIN).toString(
    "base64",
  );
const keys = (...privateKeys: KeyObject[]) => keySet(...privateKeys.map((key) => asymmetricKey(key)));

async function failureOf(
  annotations: Record<string, string>,
  keySet: KeySet = keys(OTHER.privateKey),
): Promise<DecoderError> {
  try {
    await unwrapLayer(annotations, keySet, SETTINGS);
  } catch (error) {
    if (error instanceof DecoderError) return error;
    throw error;
  }
  throw new Error("it opened");
}

describe("the packets of an annotation", () => {
  test("stand between commas", () => {
    const packets = packetsOf("jwe", "Zm9v,,?,YmFy");
    expect(packets.map((packet) => packet && Buffer.from(packet).toString())).toEqual([
      "foo",
      null,
      null,
      "bar",
    ]);
  });

  test.each([
    ["too many", "AAAA,".repeat(1024)],
    ["too long", "A".repeat(4_194_304 + 4)],
  ])("%s", (_what, value) =>
    expect(() => packetsOf("jwe", value)).toThrow(expect.objectContaining({ code: "LIMIT" })),
  );

  test("as many as allowed", () => {
    expect(packetsOf("jwe", Array(1024).fill("AAAA").join())).toHaveLength(1024);
  });
});

describe("the right packet is found", () => {
  test("at any place, and told", async () => {
    const [good, foreign] = [jwe(MINE.publicKey, { kid: "me" }), jwe(OTHER.publicKey)];
    for (const [packet, value] of [
      [0, good],
      [0, `${good},?`],
      [1, `${foreign},${good}`],
      [3, `?,,${foreign},${good}`],
      [1, `${Buffer.from('{"no":"jwe"}').toString("base64")},${good}`],
    ] as const) {
      const opened = await unwrapLayer({ [`${PREFIX}jwe`]: value }, keys(MINE.privateKey), SETTINGS);
      expect(opened).toMatchObject({ scheme: "jwe", packet, recipient: "ECDH-ES+A256KW P-256 kid=me" });
      expect(Buffer.from(opened.options.bytes)).toEqual(PLAIN);
    }
  });

  test("beside annotations of other schemes, broken ones and unknown ones", async () => {
    const annotations = {
      unrelated: "x",
      [`${PREFIX}unknown`]: "x",
      [`${PREFIX}pgp`]: "?",
      [`${PREFIX}jwe`]: jwe(MINE.publicKey),
    };
    expect(await unwrapLayer(annotations, keys(MINE.privateKey), SETTINGS)).toMatchObject({ scheme: "jwe" });
  });
});

test("the schemes are tried in the registry's order, not the annotations'", async () => {
  const annotations = {
    [`${PREFIX}pgp`]: "?",
    [`${PREFIX}pkcs7`]: "?",
    [`${PREFIX}jwe`]: jwe(MINE.publicKey),
  };
  const { message } = await failureOf(annotations);
  const order = ["tried: jwe ", "; pkcs7: ", "; pgp: "].map((part) => message.indexOf(part));
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(order[0]).toBeGreaterThan(0);
});

test("another annotation that ends as one of ours is none", async () => {
  const annotations = { [`${"x".repeat(PREFIX.length)}jwe`]: jwe(MINE.publicKey) };
  expect(await failureOf(annotations, keys(MINE.privateKey))).toMatchObject({ code: "BAD_ANNOTATION" });
});

describe("no wrapped key", () => {
  test.each([
    {},
    { other: "x" },
    { [`${PREFIX}unknown`]: "x" },
    { [`${PREFIX}provider.`]: "x" },
    { [`${PREFIX}provider`]: "x" },
  ])("%j", async (annotations) =>
    expect(await failureOf(annotations as Record<string, string>)).toMatchObject({ code: "BAD_ANNOTATION" }),
  );

  test("an unknown scheme is named", async () => {
    expect((await failureOf({ [`${PREFIX}unknown`]: "x" })).message).toContain(`${PREFIX}unknown`);
  });
});

test("more annotations with wrapped keys than there are schemes and providers are refused", async () => {
  const many = Array.from({ length: 65 }, (_, i) => [`${PREFIX}provider.p${i}`, "AA=="]);
  expect(await failureOf(Object.fromEntries(many))).toMatchObject({ code: "LIMIT" });
});

describe("when nothing opens, the error", () => {
  test("names what the layer is wrapped for and each key that was tried", async () => {
    const skipped = [{ origin: "notes.txt", reason: "not a key of a known kind" }];
    const set = {
      ...keySet(
        asymmetricKey(OTHER.privateKey, { origin: "sub/node.pem" }),
        asymmetricKey(OTHER.privateKey, { origin: "b.jwk", kid: "bee" }),
      ),
      skipped,
    };
    const error = await failureOf({ [`${PREFIX}jwe`]: jwe(MINE.publicKey, { kid: "wanted" }) }, set);
    expect(error.code).toBe("NO_KEY");
    expect(error.message).toMatch(/wrapped for jwe \(ECDH-ES\+A256KW P-256 kid=wanted\)/);
    expect(error.message).toMatch(/with sub\/node\.pem \(EC P-256, kid=[\w-]{43}\): the key does not fit/);
    expect(error.message).toMatch(/with b\.jwk \(EC P-256, kid=bee\): the key does not fit/);
    expect(error.message).toMatch(/not usable: notes\.txt: not a key of a known kind/);
    expect(error.hint).toMatch(/inspect/);
  });

  test("names each key once, however many recipients it does not fit", async () => {
    const set = keySet(
      asymmetricKey(OTHER.privateKey, { origin: "a.pem" }),
      asymmetricKey(OTHER.privateKey, { origin: "b.pem" }),
    );
    const packets = ["one", "two", "three"].map((kid) => jwe(MINE.publicKey, { kid }));
    const { message } = await failureOf({ [`${PREFIX}jwe`]: packets.join(",") }, set);
    expect(message.replaceAll(/\(EC P-256, kid=[\w-]{43}\)/g, "(EC)")).toBe(
      "no key here opens this layer, which is wrapped for jwe (ECDH-ES+A256KW P-256 kid=one, ECDH-ES+A256KW P-256 kid=two, ECDH-ES+A256KW P-256 kid=three); " +
        "tried: jwe, 3 recipients, with a.pem (EC): the key does not fit; jwe, 3 recipients, with b.pem (EC): the key does not fit",
    );
  });

  test("tells where a password goes when a key is locked", async () => {
    const locked = { origin: "node.pem", reason: "it is encrypted", isLocked: true };
    const error = await failureOf(
      { [`${PREFIX}jwe`]: jwe(MINE.publicKey) },
      { ...keys(), skipped: [locked] },
    );
    expect(error).toMatchObject({ code: "NO_KEY", hint: expect.stringContaining("--key-passwords-path") });
  });

  test("tells where to put a key when there is none", async () => {
    const none = { ...keys(), advice: "put one there" };
    const error = await failureOf({ [`${PREFIX}jwe`]: jwe(MINE.publicKey) }, none);
    expect(error).toMatchObject({ code: "NO_KEY", hint: "put one there" });
    expect(error.message).toContain("no key here is of that type and size");
  });

  test("hands on the advice of what was at fault, when it was not the keys", async () => {
    const environment = { OCICRYPT_KEYPROVIDER_CONFIG: "relative.json" };
    const settings = { environment, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
    const annotations = { [`${PREFIX}provider.kms`]: Buffer.from("packet").toString("base64") };
    const thrown: unknown = await unwrapLayer(annotations, keys(), settings).catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code: "CONFIG", hint: expect.stringMatching(/absolute/) });
  });

  test.each([
    ["no configuration", {}],
    ["another provider's", { OCICRYPT_KEYPROVIDER_CONFIG: join(folder, "other.conf") }],
  ])("for a key provider alone, with %s, does not ask for a private key", async (_what, environment) => {
    writeFileSync(join(folder, "other.conf"), '{"key-providers":{"other":{"grpc":"127.0.0.1:1"}}}');
    const settings = { environment, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
    const annotations = { [`${PREFIX}provider.kms`]: Buffer.from("packet").toString("base64") };
    const none = { ...keys(), advice: "put a private key there" };
    const thrown: unknown = await unwrapLayer(annotations, none, settings).catch((error: unknown) => error);
    const hint = /only the key provider "kms" opens it: .*(OCICRYPT_KEYPROVIDER_CONFIG|other\.conf)/;
    expect(thrown).toMatchObject({ code: "NO_KEY", hint: expect.stringMatching(hint) });
  });

  test("tells which packet", async () => {
    const value = `${jwe(MINE.publicKey)},?,${jwe(MINE.publicKey)}`;
    const { code, message } = await failureOf({ [`${PREFIX}jwe`]: value });
    expect(code).toBe("NO_KEY");
    expect(message).toMatch(/jwe packet 2: it is not valid base64/);
    expect(message).toMatch(
      /jwe, 2 recipients, with key\.pem \(EC P-256, kid=[\w-]{43}\): the key does not fit/,
    );
  });

  test("is that of the packets when all of them are broken", async () => {
    expect(await failureOf({ [`${PREFIX}jwe`]: "?," })).toMatchObject({
      code: "BAD_PACKET",
      hint: expect.stringMatching(/^the image's annotations, or the service or token named above, failed/),
    });
    const large = Buffer.alloc(3_145_729, "{").toString("base64");
    expect(await failureOf({ [`${PREFIX}jwe`]: large.slice(0, 4_194_304) })).toMatchObject({
      code: "BAD_PACKET",
    });
  });

  test("stays short, however much was tried", async () => {
    const specs = Array.from({ length: 40 }, (_, i) => ({
      key: MINE.publicKey,
      alg: "ECDH-ES+A256KW",
      header: { kid: `k${i}${"x".repeat(300)}` },
    }));
    const value = general(generalJwe(specs, PLAIN)).toString("base64");
    const { message } = await failureOf({ [`${PREFIX}jwe`]: value }, keys(OTHER.privateKey));
    expect(message.length).toBeLessThanOrEqual(4096);
    expect(message).toMatch(/and 28 more/);
  });
});

test("too many attempts end it, though a later packet would open", async () => {
  const foreign = general(generalJwe(Array(70).fill({ key: MINE.publicKey, alg: "ECDH-ES+A256KW" }), PLAIN));
  const value = `${foreign.toString("base64")},${jwe(OTHER.publicKey)}`;
  const others = keySet(...Array(60).fill(asymmetricKey(OTHER.privateKey)));
  const error = await failureOf({ [`${PREFIX}jwe`]: value }, others);
  expect(error).toMatchObject({
    code: "LIMIT",
    message: expect.stringContaining("4096 attempts"),
  });
});

test.each<[string, () => { mockRestore(): void }]>([
  [
    "processor time",
    () => {
      let reading = 0;
      return vi.spyOn(process, "cpuUsage").mockImplementation(() => {
        reading += 1;
        return { user: reading * 6_000_000, system: 0 }; // microseconds
      });
    },
  ],
  [
    "time on the clock",
    () => {
      let reading = 0;
      return vi.spyOn(performance, "now").mockImplementation(() => {
        reading += 1;
        return reading * 50_000;
      });
    },
  ],
])("too much %s ends it", async (_what, slow) => {
  const others = keys(...Array.from({ length: 6 }, () => OTHER.privateKey));
  const clock = slow();
  onTestFinished(() => clock.mockRestore());
  expect(await failureOf({ [`${PREFIX}jwe`]: jwe(MINE.publicKey) }, others)).toMatchObject({ code: "LIMIT" });
});

test("a scheme is found by its annotation's suffix", () => {
  expect(SCHEMES.map(({ name }) => schemeOf(name)?.row.name)).toEqual([
    "jwe",
    "pkcs7",
    "pgp",
    "pkcs11",
    undefined,
  ]);
  expect(schemeOf("provider.kms")).toMatchObject({ row: { name: "provider" }, name: "kms" });
  expect(schemeOf("provider.a.b")).toMatchObject({ row: { name: "provider" }, name: "a.b" });
  for (const suffix of ["", "JWE", "jwe.x", "jwe.", "provider", "provider.", "providerkms", "constructor"])
    expect(schemeOf(suffix)).toBeUndefined();
});

test.each(SCHEMES.map((row) => row.name))("%s has all three parts", async (name) => {
  const row = SCHEMES.find((it) => it.name === name);
  expect((await row?.unwrap())?.unwrap).toBeTypeOf("function");
  expect((await row?.wrap())?.prepare).toBeTypeOf("function");
  expect((await row?.describe())?.describe).toBeTypeOf("function");
});
