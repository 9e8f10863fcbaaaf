import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { RegistryClient } from "../../../src/registry/client.ts";
import type { RegistryHost } from "../../../src/registry/host.ts";
import { hostOf } from "../../../src/registry/open.ts";

const END = (socket: Socket) => socket.end();
/** RFC 8446 §6: a fatal alert, unexpected_message. */
const ALERT = (socket: Socket) => socket.end(Buffer.of(0x15, 3, 1, 0, 2, 2, 10));
const answer = (status: string, body: string) => (socket: Socket) =>
  socket.end(`HTTP/1.0 ${status}\r\n\r\n${body}`);
/** As Go's net/http answers. */
const GO = answer("400 Bad Request", "Client sent an HTTP request to an HTTPS server.\n");
const REFUSED = answer("400 Bad Request", '{"errors":[{"code":"NAME_INVALID"}]}');

/** @returns "127.0.0.1:41234" */
async function serve(reply: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined).once("data", () => reply(socket));
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** @returns the hint of the error */
async function askedBy(change: Partial<RegistryHost>, reply: (socket: Socket) => void) {
  const host = hostOf(await serve(reply), { environment: {} });
  const api = change.api === undefined ? host.api : host.api.replace("https:", change.api);
  const client = new RegistryClient({
    ...{ host: { ...host, ...change, api }, repository: "app", access: "pull", environment: {} },
    findCredential: async () => ({ lookedIn: [], unreadable: [] }),
    attempts: 1,
  });
  onTestFinished(async () => await client.close());
  const error = await client.manifest("v1").catch((it: unknown) => it);
  expect(error).toMatchObject({ code: "REGISTRY" });
  return (error as { hint?: string }).hint;
}

const FLAG = "if it speaks TLS, leave out --plain-http";
const FILE = "if it speaks TLS, write https:// in hosts.toml";

test.each<[string, Partial<RegistryHost>, (socket: Socket) => void, string | undefined]>([
  ["a broken connection", { plainHttp: "only" }, END, FLAG],
  ["an alert of TLS", { plainHttp: "only" }, ALERT, FLAG],
  ["the answer of a server in Go", { plainHttp: "only" }, GO, FLAG],
  ["the answer of a server in Go, by a node's file", { plainHttp: "only", api: "http:" }, GO, FILE],
  ["a registry's own refusal", { plainHttp: "only" }, REFUSED, undefined],
  ["another status", { plainHttp: "only" }, answer("405 Not Allowed", ""), undefined],
  ["an answer that is not HTTP", { plainHttp: "only" }, (socket) => socket.end("x\r\n\r\n"), undefined],
  ["a broken connection where TLS is tried", { plainHttp: "fallback" }, END, undefined],
])("%s after plain HTTP: its hint", async (_what, change, reply, hint) => {
  expect(await askedBy(change, reply)).toBe(hint);
});

test.each([
  ["breaks the connection", END],
  ["refuses it as a server in Go does", GO],
])("another server that %s is not the registry's own", async (_what, reply) => {
  const other = await serve(reply);
  const redirect = answer(`307 Temporary Redirect\r\nLocation: http://${other}/`, "");
  expect(await askedBy({ plainHttp: "only" }, redirect)).toBeUndefined();
});
