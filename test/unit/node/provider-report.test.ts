import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { reportProviders } from "../../../src/node/provider-report.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const folder = temporaryFolder();

async function problemAt(grpc: string): Promise<string | undefined> {
  const path = join(folder, "providers.json");
  writeFileSync(path, JSON.stringify({ "key-providers": { kms: { grpc } } }));
  const { providers, findings } = await reportProviders(path, "/bin");
  const [{ name, where, problem } = { name: "", where: "" }] = providers;
  expect([name, where, findings.length]).toEqual(["kms", grpc, problem === undefined ? 0 : 1]);
  return problem;
}

async function listening(server: Server, where: string | number): Promise<Server> {
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) =>
    typeof where === "string" ? server.listen(where, resolve) : server.listen(where, "127.0.0.1", resolve),
  );
  return server;
}

test("a service at a socket of the node is reached", async () => {
  const socket = join(folder, "kms.sock");
  expect(await problemAt(`unix://${socket}`)).toMatch(/^cannot be reached/);
  await listening(createServer(), socket);
  expect(await problemAt(`unix://${socket}`)).toBeUndefined();
  expect(await problemAt(`unix:${socket}`)).toBeUndefined();
});

test("a service at a host and port is reached", async () => {
  const { port } = (await listening(createServer(), 0)).address() as { port: number };
  for (const address of [`127.0.0.1:${port}`, `dns:///127.0.0.1:${port}`, `[127.0.0.1]:${port}`])
    expect(await problemAt(address)).toBeUndefined();
});

test.each(["kms", "unix:relative", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:123456"])(
  "%s is no address of a service",
  async (address) => {
    expect(await problemAt(address)).toBe("has an address that is not host:port");
  },
);

test("a connection is closed once it is made", async () => {
  const server = await listening(createServer(), 0);
  const closed = new Promise((resolve) =>
    server.on("connection", (socket) => socket.on("close", resolve).resume()),
  );
  await problemAt(`127.0.0.1:${(server.address() as { port: number }).port}`);
  await closed;
});

test("the last port is one, and the next line is no host", async () => {
  // Linux refuses to connect to the broadcast address, so no service of the machine answers.
  expect(await problemAt("255.255.255.255:65535")).toMatch(/^cannot be reached: /);
  for (const address of ["kms\n127.0.0.1:1", `dns:unix://${folder}/kms.sock`])
    expect(await problemAt(address)).toBe("has an address that is not host:port");
});

test("a command has to be executable, and every provider has one or a service", async () => {
  const path = join(folder, "providers.json");
  const providers = { a: { cmd: { path: "sh" } }, b: { cmd: { path: "/none" } }, c: {} };
  writeFileSync(path, JSON.stringify({ "key-providers": providers }));
  expect((await reportProviders(path, "/bin")).providers).toEqual([
    { name: "a", where: "sh" },
    { name: "b", where: "/none", problem: "is not an executable" },
    { name: "c", where: "?", problem: "has neither cmd nor grpc" },
  ]);
});

test("a missing configuration names no provider, and one that cannot be read is an error", async () => {
  const path = join(folder, "none");
  expect(await reportProviders(path, "/bin")).toEqual({ path, providers: [], findings: [] });
  expect((await reportProviders(folder, "/bin")).findings).toMatchObject([
    { severity: "error", message: expect.stringMatching(/ cannot be read: /) },
  ]);
});
