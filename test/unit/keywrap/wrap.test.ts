import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeLayer } from "../../../src/keywrap/describe.ts";
import { unwrapLayer } from "../../../src/keywrap/unwrap.ts";
import { LayerWrapper } from "../../../src/keywrap/wrap.ts";
import { asymmetricKey, keySet } from "../../support/jwe.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };
const PLAIN = Buffer.from('{"symkey":"c2VjcmV0"}');
const JWE = "org.opencontainers.image.enc.keys.jwe";

const pairs = [1, 2].map(() => generateKeyPairSync("ec", { namedCurve: "P-256" }));
const recipients = pairs.map(({ publicKey }, i) => {
  const path = join(folder, `public-${i}.jwk`);
  writeFileSync(path, JSON.stringify({ ...publicKey.export({ format: "jwk" }), kid: `key ${i}` }));
  return `jwe:${path}`;
});

test("all recipients of a scheme share one packet", async () => {
  const annotations = await (await LayerWrapper.prepare(recipients, SETTINGS)).wrap(PLAIN);
  expect(Object.keys(annotations)).toEqual([JWE]);
  expect(annotations[JWE]).not.toContain(",");
  for (const { privateKey } of pairs) {
    const opened = await unwrapLayer(annotations, keySet(asymmetricKey(privateKey)), SETTINGS);
    expect(Buffer.from(opened.options.bytes)).toEqual(PLAIN);
  }
});

test("a recipient that is named twice is wrapped for once", async () => {
  const twice = recipients.flatMap((it) => [it, it]);
  const annotations = await (await LayerWrapper.prepare(twice, SETTINGS)).wrap(PLAIN);
  const [packet] = await describeLayer(annotations);
  expect(packet?.recipients.map(({ id }) => id)).toEqual(["key 0", "key 1"]);
});

test("an existing packet stays, the new one comes after it", async () => {
  const [first, second] = await Promise.all(recipients.map((it) => LayerWrapper.prepare([it], SETTINGS)));
  const before = await first?.wrap(PLAIN);
  const annotations = (await second?.wrap(PLAIN, { ...before, other: "x" })) ?? {};
  expect(Object.keys(annotations)).toEqual([JWE]);
  expect(annotations[JWE]?.split(",")[0]).toBe(before?.[JWE]);
  for (const [packet, { privateKey }] of pairs.entries()) {
    expect(await unwrapLayer(annotations, keySet(asymmetricKey(privateKey)), SETTINGS)).toMatchObject({
      packet,
    });
  }
  expect(await second?.wrap(PLAIN, { [JWE]: "" })).toEqual({ [JWE]: expect.not.stringContaining(",") });
});

test("no recipient is an error", async () => {
  await expect(LayerWrapper.prepare([], SETTINGS)).rejects.toMatchObject({ code: "BAD_RECIPIENT" });
});

test.each([
  [["jwe:"]],
  [["jwe"]],
  [["no-scheme:x"]],
  [["JWE:x"]],
  [[":x"]],
  [[""]],
  [["/a/path"]],
  [[...recipients, "x:y"]],
])("%j is wrong usage", async (list) => {
  await expect(LayerWrapper.prepare(list, SETTINGS)).rejects.toMatchObject({
    code: "USAGE",
    message: `"${list.at(-1)}" is not a recipient`,
    hint: expect.stringContaining("jwe:FILE"),
  });
});

test("the error suggests a scheme only for what has none", async () => {
  const hint = (recipient: string) =>
    LayerWrapper.prepare([recipient], SETTINGS).then(undefined, (error) => error.hint);
  expect(await hint("node.pub")).toMatch(/ is jwe:node\.pub$/);
  expect(await hint("x:y")).not.toContain("x:y");
});

test("what a layer is encrypted for can be told without a key", async () => {
  const annotations = await (await LayerWrapper.prepare(recipients, SETTINGS)).wrap(PLAIN);
  const packets = await describeLayer({
    unrelated: "x",
    [JWE]: `${annotations[JWE]},?,${Buffer.from("x").toString("base64")}`,
    "org.opencontainers.image.enc.keys.unknown": "x",
  });
  expect(packets).toEqual([
    {
      scheme: "jwe",
      recipients: [
        { algorithm: "ECDH-ES+A256KW", id: "key 0" },
        { algorithm: "ECDH-ES+A256KW", id: "key 1" },
      ],
    },
    { scheme: "jwe", recipients: [], problem: "it is not valid base64" },
    { scheme: "jwe", recipients: [], problem: expect.stringContaining("JWE") },
    { scheme: "unknown", recipients: [], problem: expect.stringContaining("scheme") },
  ]);
});
