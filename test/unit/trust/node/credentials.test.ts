import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { nodeCredential } from "../../../../src/trust/node/credentials.ts";
import { type ExecProviders, readExecProviders } from "../../../../src/trust/node/exec-provider.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

// The machine's own files of credentials would be read, and might answer. Nothing else here calls existsSync.
vi.mock("node:fs", async (original) => ({
  ...(await original<typeof import("node:fs")>()),
  existsSync: () => false,
}));

const folder = temporaryFolder();
const AUTH = join(folder, "auth.json");
const CONFIG = join(folder, "providers.yaml");

/** A file with credentials for this registry. */
function writeAuth(registry: string): void {
  const auth = Buffer.from("file:secret").toString("base64");
  writeFileSync(AUTH, JSON.stringify({ auths: { [registry]: { auth } } }));
}

async function providersFor(registry: string): Promise<ExecProviders> {
  const answer = { auth: { [registry]: { username: "provider", password: "secret" } } };
  writeFileSync(join(folder, "cloud"), `#!/bin/sh\necho '${JSON.stringify(answer)}'\n`, { mode: 0o755 });
  const apiVersion = "credentialprovider.kubelet.k8s.io/v1";
  writeFileSync(
    CONFIG,
    JSON.stringify({ providers: [{ name: "cloud", matchImages: [registry], apiVersion }] }),
  );
  return await readExecProviders(CONFIG, folder);
}

const find = (authFile: string | undefined, providers: ExecProviders | undefined, registry = "a.test") =>
  nodeCredential(
    { authFile, providers, environment: { PATH: process.env["PATH"] }, signal: new AbortController().signal },
    registry,
    "shop/app",
  );

test("the settings' file comes before the providers, which come last", async () => {
  writeAuth("a.test");
  const providers = await providersFor("a.test");
  expect(await find(AUTH, providers)).toMatchObject({ credential: { username: "file" } });
  expect(await find(undefined, providers)).toMatchObject({ credential: { username: "provider" } });
  writeAuth("b.test");
  expect(await find(AUTH, providers)).toMatchObject({ credential: { username: "provider" } });
});

test("without credentials, it is said where they were looked for", async () => {
  const places = [
    "/etc/containerd/ctd-decoder/auth.json",
    "/run/containers/0/auth.json",
    "/root/.config/containers/auth.json",
    "/var/lib/kubelet/config.json",
    "/root/.docker/config.json",
  ];
  writeAuth("b.test");
  const nowhere = "nowhere.invalid";
  expect(await find(undefined, undefined, nowhere)).toEqual({ lookedIn: places, unreadable: [] });
  expect(await find(AUTH, undefined, nowhere)).toEqual({ lookedIn: [AUTH, ...places], unreadable: [] });
  expect(await find(AUTH, await providersFor("b.test"), nowhere)).toEqual({
    lookedIn: [AUTH, ...places, CONFIG],
    unreadable: [],
  });
});

test("a file that the settings name must exist", async () => {
  await expect(find(join(folder, "missing.json"), undefined)).rejects.toMatchObject({ code: "CONFIG" });
});
