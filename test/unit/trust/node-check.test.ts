import { chmodSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { RegistryClient } from "../../../src/registry/client.ts";
import { parseName } from "../../../src/registry/name.ts";
import { checkOnNode } from "../../../src/trust/node-check.ts";
import { readTrustSettings } from "../../../src/trust/settings.ts";
import { describeWith, root } from "../../support/peers.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, storeSignature, writeSettings } from "../../support/trust.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;
const REFERENCE = "127.0.0.1:1/app:1";

describeWith([root], "the check of an image on a node", {}, () => {
  const signer = newSigner();
  let place: string;

  beforeEach(() => {
    place = temporaryFolder();
    writeFileSync(join(place, "key.pub"), signer.publicKey);
    writePolicy({ type: "sigstoreSigned", keyPath: join(place, "key.pub") });
  });

  function writePolicy(...rules: readonly object[]): void {
    const transports = { docker: { "127.0.0.1:1": rules } };
    writeFileSync(join(place, "policy.json"), JSON.stringify({ default: [{ type: "reject" }], transports }));
  }

  async function check(reference = REFERENCE, more: Readonly<Record<string, unknown>> = {}) {
    const settings = writeSettings(join(place, "settings"), {
      policy: join(place, "policy.json"),
      signature_store: join(place, "signatures"),
      verdict_dir: join(place, "verdicts"),
      break_glass: join(place, "break-glass"),
      hosts_dir: join(place, "no-hosts"),
      registries_d: join(place, "no-registries"),
      ...more,
    });
    const image = { name: parseName(reference), digest: DIGEST };
    return await checkOnNode(image, readTrustSettings(settings), {});
  }

  const sign = () =>
    storeSignature(join(place, "signatures"), signer, { digest: DIGEST, reference: REFERENCE });
  const SCOPE = 'docker scope "127.0.0.1:1"';

  test("accepts a signed one, keeps the verdict, and leaves no connection open", async () => {
    const close = vi.spyOn(RegistryClient.prototype, "close");
    onTestFinished(() => close.mockRestore());
    sign();
    const by = expect.stringMatching(/^key sha256:/);
    const reason = expect.stringMatching(/^signed by key sha256:/);
    expect(await check()).toEqual({ accepted: true, reason, scope: SCOPE, signer: by });
    expect(readdirSync(join(place, "verdicts"))).toHaveLength(1);
    expect(close).toHaveBeenCalledOnce();
    rmSync(join(place, "signatures"), { recursive: true });
    // The registry does not answer.
    expect(await check()).toEqual({
      accepted: true,
      reason: expect.stringMatching(
        /^signed by key .*, as checked at .*Z; the registry does not answer now$/,
      ),
      scope: SCOPE,
      signer: by,
      exception: "earlier verdict",
    });
    await expect(check(REFERENCE, { stale_if_error: false })).rejects.toMatchObject({ code: "REGISTRY" });
    await expect(check("127.0.0.1:1/app:2")).rejects.toMatchObject({ code: "REGISTRY" });
  });

  test("accepts a signed one whose verdict can't be kept", async () => {
    sign();
    writeFileSync(join(place, "verdicts"), "a file in the folder's place");
    expect(await check()).toMatchObject({ accepted: true });
  });

  test("keeps no verdict of what the policy decides by the name", async () => {
    writePolicy({ type: "insecureAcceptAnything" });
    const accepted = { accepted: true, reason: "the policy accepts it without a signature", scope: SCOPE };
    expect(await check()).toEqual(accepted);
    expect(await check("b.test/app:1")).toEqual({
      ...{ accepted: false, fault: "policy", reason: "the policy rejects it", scope: "default" },
    });
    expect(readdirSync(place)).not.toContain("verdicts");
  });

  test("refuses a key that is named by a relative path, or that others may write", async () => {
    sign();
    writePolicy({ type: "sigstoreSigned", keyPath: relative(process.cwd(), join(place, "key.pub")) });
    await expect(check()).rejects.toThrow("the policy names it by a relative path");
    writeFileSync(join(place, "open.pub"), signer.publicKey);
    const open = { type: "sigstoreSigned", keyPath: join(place, "open.pub") };
    writePolicy(open, { type: "insecureAcceptAnything" });
    chmodSync(join(place, "open.pub"), 0o666);
    await expect(check()).rejects.toThrow(/open\.pub: others than root may write/);
  });

  test("accepts what break-glass excepts, whatever the policy is", async () => {
    const until = new Date(Date.now() + 3_600_000).toISOString();
    const path = join(place, "break-glass");
    writeFileSync(path, `until ${until} scope 127.0.0.1:1 reason the key is lost\n`, { mode: 0o600 });
    rmSync(join(place, "key.pub"));
    expect(await check()).toEqual({
      accepted: true,
      reason: `break-glass until ${until}: the key is lost`,
      scope: "127.0.0.1:1",
      exception: "break-glass",
    });
  });
});
