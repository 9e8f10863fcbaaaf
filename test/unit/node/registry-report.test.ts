import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { reachRegistries } from "../../../src/node/registry-report.ts";
import { loadPolicy } from "../../../src/trust/policy/read-policy.ts";
import { readTrustSettings } from "../../../src/trust/settings.ts";
import { describeWith, root } from "../../support/peers.ts";
import { end, TestRegistry } from "../../support/registry.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { newSigner, writeSettings } from "../../support/trust.ts";

const ACCEPTED = [{ type: "insecureAcceptAnything" }];

describeWith([root], "reachRegistries", {}, () => {
  const base = temporaryFolder();
  const keyPath = join(base, "cosign.pub");
  const signed = [{ type: "sigstoreSigned", keyPath }];
  let registry: TestRegistry;

  beforeAll(async () => {
    writeFileSync(keyPath, newSigner().publicKey);
    registry = await TestRegistry.start();
  });
  beforeEach(() => {
    registry.seen.length = 0;
    registry.intercept = () => false;
  });
  afterAll(() => registry.stop());

  /** @param scopes scope → requirements */
  async function findingsOf(scopes: Readonly<Record<string, unknown>>) {
    const folder = mkdtempSync(join(base, "node-"));
    const path = join(folder, "policy.json");
    writeFileSync(path, JSON.stringify({ default: [{ type: "reject" }], transports: { docker: scopes } }));
    mkdirSync(join(folder, "hosts"));
    const file = writeSettings(folder, { policy: path, hosts_dir: join(folder, "hosts") });
    const settings = readTrustSettings(file);
    return await reachRegistries((await loadPolicy(path, settings)).policy, settings, process.env);
  }

  test("a registry whose images need a signature is asked", async () => {
    expect(await findingsOf({ [registry.host]: signed })).toEqual([]);
    expect(registry.seen.length).toBeGreaterThan(0);
  });

  test("so is one where a part needs one", async () => {
    await findingsOf({ [registry.host]: ACCEPTED, [`${registry.host}/app`]: signed });
    expect(registry.seen.length).toBeGreaterThan(0);
  });

  test("one where nothing depends on signatures is not", async () => {
    const parts = { [`${registry.host}/app`]: ACCEPTED, [`${registry.host}/old`]: [{ type: "reject" }] };
    expect(await findingsOf({ [registry.host]: ACCEPTED, ...parts })).toEqual([]);
    expect(registry.seen).toEqual([]);
  });

  test.each([
    [401, "note", "may refuse to show signatures"],
    [400, "warning", "can't be read now"],
  ])("the answer %i is a %s", async (status, severity, text) => {
    registry.intercept = (_, response) => {
      end(response, status);
      return true;
    };
    const findings = await findingsOf({ [registry.host]: signed });
    expect(findings).toMatchObject([{ severity, message: expect.stringContaining(text) }]);
    expect(findings[0]?.message).toContain(registry.host);
  });
});
