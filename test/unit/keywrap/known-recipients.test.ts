import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeLayer } from "../../../src/keywrap/describe.ts";
import { KnownRecipients } from "../../../src/keywrap/known-recipients.ts";
import { LayerWrapper } from "../../../src/keywrap/wrap.ts";
import { rsaPair } from "../../support/rsa.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { makeKey } from "./pgp/messages.ts";
import { holder } from "./pkcs7/packets.ts";

const folder = temporaryFolder();
const SETTINGS = { environment: {}, providerTimeoutMs: 1000, providerLegacyDc: false, verbose: false };

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test("a public key or certificate is found among the recipients of its scheme", async () => {
  const pairs = [1, 2].map(() => rsaPair(2048));
  const [jwe, other] = pairs.map(({ publicKey }, i) =>
    file(`${i}.pem`, publicKey.export({ format: "pem", type: "spki" })),
  );
  const certificate = file("node.crt", holder({ name: "node" }).certificate.der);
  const ring = await makeKey();
  const pgp = file("ops.gpg", ring.toPublic().write());
  const recipients = [`jwe:${jwe}`, `jwe:${other}`, `pkcs7:${certificate}`, `pgp:${pgp}`];
  const annotations = await (await LayerWrapper.prepare(recipients, SETTINGS)).wrap(Buffer.from("{}"));

  const known = new KnownRecipients();
  for (const path of [jwe, certificate, pgp]) expect(await known.add(path ?? "", SETTINGS)).toBe(true);
  const packets = await describeLayer(annotations, known);
  const files = packets.map(({ scheme, recipients: list }) => [scheme, list.map((it) => it.files)]);
  expect(Object.fromEntries(files)).toEqual({
    jwe: [[jwe], undefined],
    pkcs7: [[certificate]],
    pgp: [[pgp]],
  });
});

test("private keys are left to those who open layers with them", async () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ring = await makeKey();
  const known = new KnownRecipients();
  for (const path of [
    file("private.pem", privateKey.export({ format: "pem", type: "pkcs8" })),
    file("private.der", privateKey.export({ format: "der", type: "pkcs8" })),
    file("private.jwk", JSON.stringify(privateKey.export({ format: "jwk" }))),
    file("secret.gpg", ring.write()),
    file("secret.asc", ring.armor()),
    file("text", "text"),
    join(folder, "missing"),
    folder,
  ])
    expect(await known.add(path, SETTINGS)).toBe(false);
});
