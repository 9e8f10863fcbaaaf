import { createPublicKey } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { thumbprint } from "../../src/keys/thumbprint.ts";
import { ContentStore } from "../support/content-store.ts";
import { type DecoderCall, decode } from "../support/decoder.ts";
import { type Encrypted, encryptFor } from "../support/encrypted.ts";
import { type KeyFiles, writeKeys } from "../support/keys.ts";
import { flipBit, plainBytes } from "../support/layer.ts";
import { payload } from "../support/payload.ts";
import { describeWith, ours } from "../support/peers.ts";
import { temporaryFolder } from "../support/temporary.ts";

describeWith([ours], "the audit log", {}, () => {
  const folder = temporaryFolder();
  const log = join(folder, "audit.log");
  let key: KeyFiles;
  let other: KeyFiles;
  let layer: Encrypted;
  const plaintext = plainBytes(5000);

  beforeAll(async () => {
    key = await writeKeys(join(folder, "key"), "P-256");
    other = await writeKeys(join(folder, "other"), "P-256");
    layer = await encryptFor([`jwe:${key.publicPath("spki.pem")}`], plaintext);
  });

  const image = {
    "containerd.io/snapshot/cri.image-ref": "registry.example/app:1",
    "containerd.io/snapshot/cri.manifest-digest": `sha256:${"a".repeat(64)}`,
  };

  async function call(args: readonly string[], more: Partial<DecoderCall> = {}, keys = key) {
    const { descriptor } = layer;
    const annotated = { ...descriptor, annotations: { ...descriptor.annotations, ...image } };
    return decode(ours, {
      layer: layer.ciphertext,
      payload: payload(annotated),
      ...more,
      args: ["--decryption-keys-path", dirname(keys.privatePath("pkcs8.pem")), ...args],
    });
  }

  function lines(file = log): Record<string, unknown>[] {
    const text = readFileSync(file, "utf8");
    expect(text.endsWith("\n")).toBe(true);
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  test("a decrypted layer gets one line with its digest, its image and its key", async () => {
    const { exit, stdout, stderr } = await call(["--audit-log", log]);
    expect([exit, stderr, stdout.equals(plaintext)]).toEqual([0, "", true]);
    const jwk = createPublicKey(key.privateKey).export({ format: "jwk" });
    const [line, ...others] = lines();
    expect(others).toEqual([]);
    expect(line).toMatchObject({
      verdict: "authentic",
      layer: layer.descriptor.digest,
      mediaType: layer.descriptor.mediaType,
      image: { reference: "registry.example/app:1", manifest: `sha256:${"a".repeat(64)}`, trusted: false },
      scheme: "jwe",
      kid: thumbprint({ ...jwk }),
      bytes: 5000,
      release: "verified",
    });
    expect(Math.abs(Date.parse(String(line?.["time"])) - Date.now())).toBeLessThan(60_000);
    expect(statSync(log).mode & 0o777).toBe(0o600);
  });

  test("a refused layer's line has the error's code; lines are appended, never replaced", async () => {
    const before = lines().length;
    const forged = await call(["--audit-log", log], { layer: flipBit(layer.ciphertext, 100) });
    const wrongKey = await call(["--audit-log", log, "--trust-cri-annotations"], {}, other);
    const noPayload = await call(["--audit-log", log, "--no-content-store"], {
      payload: Buffer.from("garbage"),
    });
    expect([forged.exit, wrongKey.exit, noPayload.exit]).toEqual([1, 1, 1]);
    const added = lines().slice(before);
    expect(added.map(({ verdict }) => verdict)).toEqual(["AUTHENTICATION", "NO_KEY", "BAD_PAYLOAD"]);
    expect(added[0]).toMatchObject({ layer: layer.descriptor.digest, image: { trusted: false } });
    expect(added[1]).toMatchObject({ layer: layer.descriptor.digest, image: { trusted: true } });
    expect(added[2]).not.toHaveProperty("layer");
  });

  test("a layer of the content store is named although the keys can't be used", async () => {
    const store = new ContentStore(join(folder, "containerd"));
    store.add(layer.ciphertext);
    store.addManifest([layer.descriptor]);
    const refuse = async (file: string, ...args: readonly string[]) => {
      const unusable = ["--key-passwords-path", "/nonexistent", "--audit-log", file];
      const { exit, stderr } = await decode(ours, {
        layer: layer.ciphertext,
        args: ["--decryption-keys-path", dirname(key.privatePath("pkcs8.pem")), ...unusable, ...args],
      });
      expect([exit, stderr]).toEqual([1, expect.stringContaining("/nonexistent")]);
      return lines(file);
    };
    expect(await refuse(join(folder, "store.log"), "--content-store", store.folder)).toMatchObject([
      { verdict: "BAD_KEY", layer: layer.descriptor.digest, mediaType: layer.descriptor.mediaType },
    ]);
    // What keeps the layer from being found is not the reason of the refusal.
    const [unnamed] = await refuse(
      join(folder, "unnamed.log"),
      "--content-store",
      new ContentStore(join(folder, "empty")).folder,
    );
    expect(unnamed).toMatchObject({ verdict: "BAD_KEY" });
    expect(unnamed).not.toHaveProperty("layer");
  });

  test("the environment can also name the log; the option takes precedence", async () => {
    const [fromEnvironment, fromOption] = [join(folder, "environment.log"), join(folder, "option.log")];
    const env = { OCICRYPT_AUDIT_LOG: fromEnvironment };
    expect((await call([], { env })).exit).toBe(0);
    expect((await call(["--audit-log", fromOption], { env })).exit).toBe(0);
    expect([lines(fromEnvironment).length, lines(fromOption).length]).toEqual([1, 1]);
  });

  test.each(["/dev/full", "/nonexistent/audit.log"])(
    "%s can't be written: the layer is released, but not with --audit-required",
    async (file) => {
      const lenient = await call(["--audit-log", file]);
      expect([lenient.exit, lenient.stderr, lenient.stdout.equals(plaintext)]).toEqual([0, "", true]);
      const strict = await call(["--audit-log", file, "--audit-required"]);
      expect([strict.exit, strict.stdout.length]).toEqual([1, 0]);
      expect(strict.stderr).toContain(`can't write the audit log ${file}`);
    },
  );

  test("--audit-required excludes --release=stream, where data leaves before the verdict", async () => {
    const { exit, stdout, stderr } = await call(["--audit-log", log, "--audit-required", "--release=stream"]);
    expect([exit, stdout.length]).toEqual([1, 0]);
    expect(stderr).toContain("--audit-required needs --release verified");
  });

  test("without the option, no log is written", async () => {
    const file = join(folder, "none.log");
    writeFileSync(file, "");
    expect((await call([])).exit).toBe(0);
    expect([statSync(file).size, existsSync(join(folder, "audit"))]).toEqual([0, false]);
  });
});
