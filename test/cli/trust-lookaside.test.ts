import { chmodSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createMessage, generateKey, type PrivateKey, sign } from "openpgp";
import { expect, onTestFinished, test } from "vitest";
import { OCI_MANIFEST } from "../../src/spec/media-types.ts";
import { command } from "../support/cli.ts";
import { describeWith, ours, root, run } from "../support/peers.ts";
import { TestRegistry } from "../support/registry.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { writeSettings } from "../support/trust.ts";

/** Any user who is not root. */
const USER = 54_321;

describeWith([ours, root], "a GPG signature below the home of a user other than root", {}, () => {
  const folder = temporaryFolder();

  test("counts for a policy, but not for a node's trust.toml", async () => {
    const registry = await TestRegistry.start();
    onTestFinished(() => registry.stop());
    const image = `${registry.host}/app:v1`;
    const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] };
    const digest = registry.addManifest("app", "v1", manifest, OCI_MANIFEST);
    const { privateKey } = await generateKey({ userIDs: [{ name: "dev" }], format: "object" });
    const home = join(folder, "home");
    await storeGpgSignature(join(home, ".local/share/containers/sigstore"), privateKey, { digest, image });
    const keyring = join(folder, "dev.gpg");
    writeFileSync(keyring, privateKey.toPublic().write());
    const policy = join(folder, "policy.json");
    writeFileSync(
      policy,
      JSON.stringify({ default: [{ type: "signedBy", keyType: "GPGKeys", keyPath: keyring }] }),
    );
    const settings = writeSettings(join(folder, "settings"), { policy });

    const user = { uid: USER, gid: USER, cwd: "/", env: { HOME: home } };
    const check = (named: string) => run(program(), ["trust", "check", "--policy", named, image], user);
    expect(await check(policy)).toMatchObject({ exit: 0, stderr: "" });
    const unsigned = { exit: 1, stderr: expect.stringContaining("is not trusted: no signature") };
    expect(await check(settings)).toMatchObject(unsigned);
    // containers/image has this folder only for users other than root.
    const asRoot = await command(["trust", "check", "--policy", policy, image], { env: { HOME: home } });
    expect(asRoot).toMatchObject(unsigned);
  });

  /** Our executable, in a place that every user may enter. */
  function program() {
    for (const path of [dirname(folder), folder]) chmodSync(path, 0o755);
    cpSync(ours.command, join(folder, "ctd-decoder"));
    return { ...ours, command: join(folder, "ctd-decoder") };
  }
});

/** Signs as skopeo does (containers-signature(5)). */
async function storeGpgSignature(
  lookaside: string,
  signingKeys: PrivateKey,
  { digest, image }: { digest: string; image: string },
): Promise<void> {
  const critical = {
    type: "atomic container signature",
    image: { "docker-manifest-digest": digest },
    identity: { "docker-reference": image },
  };
  const message = await createMessage({ binary: Buffer.from(JSON.stringify({ critical, optional: {} })) });
  const place = join(lookaside, `app@${digest.replace(":", "=")}`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "signature-1"), await sign({ message, signingKeys, format: "binary" }));
}
