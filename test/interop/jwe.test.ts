import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { decode } from "../support/decoder.ts";
import { decodedDiffIds, diffIds } from "../support/diff-ids.ts";
import { copyImage, layersOf, readBlob, sha256, tar, writeImage } from "../support/images.ts";
import {
  ALGORITHMS,
  type Algorithm,
  type KeyFiles,
  PRIVATE_FORMS,
  PUBLIC_FORMS,
  writeKeys,
} from "../support/keys.ts";
import { payload } from "../support/payload.ts";
import { describeWith, goDecoder, openssl, ours, output, skopeo, skopeoNew } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** `openssl req -x509` makes a CA's certificate by default. */
const END_ENTITY = ["-addext", "basicConstraints=critical,CA:FALSE"];
const folder = temporaryFolder();
const plain = join(folder, "plain");
const keys = new Map<Algorithm, KeyFiles>();

beforeAll(async () => {
  const layers = [
    {
      tar: await tar({ "bin/tool": Buffer.alloc(100_000, "tool"), etc: { link: "bin" } }),
      compression: "gzip",
    },
    { tar: await tar({ "readme.txt": Buffer.from("a second layer, not compressed") }), compression: "none" },
  ] as const;
  writeImage(plain, "plain", layers);
  for (const pair of await Promise.all(ALGORITHMS.map((algorithm) => writeKeys(folder, algorithm)))) {
    keys.set(pair.algorithm, pair);
  }
});

function keysOf(algorithm: Algorithm): KeyFiles {
  const pair = keys.get(algorithm);
  if (!pair) throw new Error(`no ${algorithm} keys`);
  return pair;
}

for (const tool of [skopeo, skopeoNew]) {
  describeWith([tool, ours], `layers encrypted by ${tool.name} open with our decoder`, {}, () => {
    const encrypted = join(folder, tool.name);

    beforeAll(async () => {
      for (const algorithm of ALGORITHMS) {
        const recipients = [`jwe:${keysOf(algorithm).publicPath("spki.pem")}`];
        await copyImage(tool, `oci:${plain}:plain`, `oci:${encrypted}:${algorithm}`, { recipients });
      }
    });

    const forms = ALGORITHMS.flatMap((algorithm) => PRIVATE_FORMS.map((form) => ({ algorithm, form })));
    test.each(forms)("$algorithm, private key as $form", async ({ algorithm, form }) => {
      const keysFolder = dirname(keysOf(algorithm).privatePath(form));
      expect(await decodedDiffIds(ours, encrypted, algorithm, keysFolder)).toEqual(diffIds(plain, "plain"));
    });

    test("another key of the same kind opens nothing", async () => {
      for (const layer of layersOf(encrypted, "P-256")) {
        const result = await decode(ours, {
          layer: readBlob(encrypted, layer),
          payload: payload(layer),
          args: ["--decryption-keys-path", dirname(keysOf("P-384").privatePath("jwk"))],
        });
        expect(result).toMatchObject({ exit: 1, stdout: Buffer.alloc(0) });
      }
    });

    test("the key comes in the payload", async () => {
      const privkeys = [readFileSync(keysOf("RSA-2048").privatePath("pkcs8.pem"))];
      const [layer] = layersOf(encrypted, "RSA-2048");
      if (!layer) throw new Error("no layer");
      const result = await decode(ours, {
        layer: readBlob(encrypted, layer),
        payload: payload(layer, { privkeys, "privkeys-passwords": [null] }),
      });
      expect(sha256(result.stdout)).toBe(layersOf(plain, "plain")[0]?.digest);
    });
  });
}

describeWith([ours, goDecoder, openssl], "images by our encrypt open with the peers", {}, () => {
  const encrypted = join(folder, "ours");
  const encrypt = (recipients: readonly string[], tag: string) => {
    const options = recipients.flatMap((path) => ["--recipient", `jwe:${path}`]);
    return output(ours, ["encrypt", ...options, `oci:${plain}:plain`, `oci:${encrypted}:${tag}`]);
  };
  const pkcs8Folder = (algorithm: Algorithm) => dirname(keysOf(algorithm).privatePath("pkcs8.pem"));

  beforeAll(async () => {
    for (const algorithm of ALGORITHMS) {
      for (const form of PUBLIC_FORMS) {
        await encrypt([keysOf(algorithm).publicPath(form)], `${algorithm}-${form}`);
      }
    }
  });

  const forms = ALGORITHMS.flatMap((algorithm) => PUBLIC_FORMS.map((form) => ({ algorithm, form })));
  test.each(forms)("Go's decoder: $algorithm, public key as $form", async ({ algorithm, form }) => {
    expect(
      await decodedDiffIds(goDecoder, encrypted, `${algorithm}-${form}`, pkcs8Folder(algorithm)),
    ).toEqual(diffIds(plain, "plain"));
  });

  test.each(ALGORITHMS)("Go's decoder: %s, the recipient a certificate", async (algorithm) => {
    const certificate = join(folder, `${algorithm}.crt`);
    const key = keysOf(algorithm).privatePath("pkcs8.pem");
    await output(openssl, [
      "req",
      "-x509",
      "-key",
      key,
      "-subj",
      "/CN=recipient",
      ...END_ENTITY,
      "-out",
      certificate,
    ]);
    await encrypt([certificate], `${algorithm}-certificate`);
    expect(
      await decodedDiffIds(goDecoder, encrypted, `${algorithm}-certificate`, pkcs8Folder(algorithm)),
    ).toEqual(diffIds(plain, "plain"));
  });

  test("Go's decoder: any of several recipients", async () => {
    await encrypt(
      ALGORITHMS.map((algorithm) => keysOf(algorithm).publicPath("spki.pem")),
      "everybody",
    );
    for (const algorithm of ALGORITHMS) {
      expect(await decodedDiffIds(goDecoder, encrypted, "everybody", pkcs8Folder(algorithm))).toEqual(
        diffIds(plain, "plain"),
      );
    }
  });

  for (const tool of [skopeo, skopeoNew]) {
    describeWith([tool], tool.name, {}, () => {
      // Go takes neither SEC 1 as PEM nor a JWK set.
      const readable = PRIVATE_FORMS.filter((form) => form !== "own.pem" && form !== "jwks");
      test.each(ALGORITHMS)("%s", async (algorithm) => {
        for (const [index, form] of readable.entries()) {
          const source = `oci:${encrypted}:${algorithm}-${PUBLIC_FORMS[index % PUBLIC_FORMS.length]}`;
          const opened = join(folder, tool.name, "opened");
          await copyImage(tool, source, `oci:${opened}:${algorithm}-${form}`, {
            keys: [keysOf(algorithm).privatePath(form)],
          });
          expect(diffIds(opened, `${algorithm}-${form}`)).toEqual(diffIds(plain, "plain"));
        }
      });
    });
  }
});
