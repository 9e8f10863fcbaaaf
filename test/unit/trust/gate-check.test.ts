import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import { requireAccepted } from "../../../src/trust/gate-check.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, storeSignature, writeSettings } from "../../support/trust.ts";

const REFERENCE = "127.0.0.1:1/app";
const digestOf = (image: number) => `sha256:${String(image).padStart(64, "0")}`;

describeWith([root], "the checks before a layer is decrypted", {}, () => {
  const folder = temporaryFolder();
  const signer = newSigner();
  let number = 0;

  beforeAll(() => {
    writeFileSync(join(folder, "key.pub"), signer.publicKey);
    const identity = { signedIdentity: { type: "matchRepository" } };
    const signed = { type: "sigstoreSigned", keyPath: join(folder, "key.pub"), ...identity };
    writeFileSync(join(folder, "policy.json"), JSON.stringify({ default: [signed] }));
  });

  /** Checks so many images with a layer, of which the last one is signed. */
  async function check(images: number): Promise<void> {
    const place = join(folder, String(number++));
    const signatures = join(place, "signatures");
    storeSignature(signatures, signer, { digest: digestOf(images), reference: REFERENCE });
    const settings = writeSettings(place, {
      policy: join(folder, "policy.json"),
      signature_store: signatures,
      verdict_dir: join(place, "verdicts"),
      hosts_dir: join(place, "no-hosts"),
      registries_d: join(place, "no-registries"),
    });
    const layer = { digest: digestOf(0), store: join(place, "no-store"), imageReference: REFERENCE };
    const digests = Array.from({ length: images }, (_, i) => [digestOf(i + 1)]);
    await requireAccepted(layer, digests, settings, {});
  }

  test("64 are made, and no more", async () => {
    await check(64);
    await expect(check(65)).rejects.toMatchObject({ code: "UNTRUSTED" });
  });

  test("none begins after 60 s", async () => {
    const clock = vi.spyOn(performance, "now");
    try {
      clock.mockReturnValueOnce(0).mockReturnValue(60_000);
      await check(1);
      clock.mockReturnValueOnce(0).mockReturnValue(60_001);
      await expect(check(1)).rejects.toThrow("checking its images takes too long");
    } finally {
      clock.mockRestore();
    }
  });
});
