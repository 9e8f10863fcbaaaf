import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseName } from "../../../../src/registry/name.ts";
import { nodePlaces } from "../../../../src/trust/node/node-places.ts";
import { readGateSettings } from "../../../../src/trust/settings.ts";
import { FakeTimers } from "../../../support/fake-timers.ts";
import { describeWith, root } from "../../../support/peers.ts";
import { temporaryFolder } from "../../../support/temporary.ts";
import { newSigner, writeSettings } from "../../../support/trust.ts";
import { SigningRegistry } from "../../../trust/signing-registry.ts";

describeWith([root], "the servers that a node asks for signatures", {}, () => {
  const folder = temporaryFolder();
  let registry: SigningRegistry;
  beforeAll(async () => {
    registry = await SigningRegistry.start({ a: newSigner(), b: newSigner() });
  });
  afterAll(async () => await registry.close());

  test("of two servers, a mirror has half of the deadline to answer", async () => {
    const name = registry.address.replace("127.0.0.1", "localhost");
    const hosts = join(folder, "certs.d", name);
    mkdirSync(hosts, { recursive: true });
    writeFileSync(
      join(hosts, "hosts.toml"),
      `server = "http://${name}"\n[host."http://${registry.address}"]\n`,
    );
    writeFileSync(join(folder, "policy.json"), '{"default":[{"type":"reject"}]}');
    const file = writeSettings(join(folder, "settings"), {
      policy: join(folder, "policy.json"),
      hosts_dir: join(folder, "certs.d"),
      deadline: "8s",
    });
    const timers = new FakeTimers();
    const { signal } = new AbortController();
    const places = await nodePlaces(parseName(`${name}/a/app:1`), readGateSettings(file), {}, signal);
    const [mirror, last] = places.stores;
    registry.isSilent = true;
    const asked = mirror?.manifest("1");
    while (registry.requests.length === 0) await new Promise(setImmediate);
    expect(await timers.endOf(Promise.resolve(asked), 4000)).toEqual({
      status: "rejected",
      reason: expect.objectContaining({
        code: "REGISTRY",
        message: `${registry.address} has not answered within 4 s`,
      }),
    });
    registry.isSilent = false;
    expect(await last?.manifest("1")).toMatchObject({ digest: registry.digest });
    await places.close();
  });
});
