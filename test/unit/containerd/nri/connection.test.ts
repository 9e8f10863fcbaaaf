import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { NriConnection } from "../../../../src/containerd/nri/connection.ts";
import { temporaryFolder } from "../../../support/temporary.ts";

const folder = temporaryFolder();
let count = 0;
let server: Server;
let connection: NriConnection;
/** containerd's end. */
let socket: Socket;

beforeEach(async () => {
  const path = join(folder, `nri-${count++}.sock`);
  server = createServer().listen(path);
  await once(server, "listening");
  const connected = once(server, "connection");
  connection = new NriConnection(path, new Map([["Echo", (payload) => Buffer.from(payload)]]));
  [socket] = await connected;
});
afterEach(async () => {
  connection.close();
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

async function received(length: number): Promise<Buffer> {
  let all = Buffer.alloc(0);
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    all = Buffer.concat([all, chunk as Buffer]);
    if (all.length >= length) break;
  }
  return all;
}

/** One frame of the multiplexer with one message of ttrpc (PROTOCOL.md). The lengths stand for themselves. */
function frame(connectionId: number, stream: number, type: number, data: Buffer): Buffer {
  const header = Buffer.alloc(18);
  for (const [value, at] of [
    [connectionId, 0],
    [10 + data.length, 4],
    [data.length, 8],
    [stream, 12],
  ] as const)
    header.writeUInt32BE(value, at);
  header[16] = type;
  return Buffer.concat([header, data]);
}

/** Fields of a protobuf message whose texts are shorter than 128 bytes. */
const message = (...fields: readonly (readonly [number, string])[]) =>
  Buffer.concat(
    fields.map(([number, text]) => Buffer.from([number * 8 + 2, text.length, ...Buffer.from(text)])),
  );

test("a call is a request on the second connection, and its answer ends it", async () => {
  const calling = connection.call("service", "Method", Buffer.from("payload"));
  const request = frame(2, 1, 1, message([1, "service"], [2, "Method"], [3, "payload"]));
  expect(await received(request.length)).toEqual(request);
  // Neither an answer to the plugin's own calls nor a request ends it.
  socket.write(frame(1, 1, 2, Buffer.alloc(0)));
  socket.write(frame(2, 1, 1, Buffer.alloc(0)));
  socket.write(frame(2, 1, 2, Buffer.alloc(0)));
  await expect(calling).resolves.toBeUndefined();
});

test("containerd's calls are answered on the first connection, in its stream", async () => {
  socket.write(frame(1, 7, 1, message([1, "plugin"], [2, "Echo"], [3, "again"])));
  const answer = frame(1, 7, 2, message([2, "again"]));
  expect(await received(answer.length)).toEqual(answer);
  socket.write(frame(1, 9, 1, message([1, "plugin"], [2, "Echo"])));
  const empty = frame(1, 9, 2, message([2, ""]));
  expect(await received(empty.length)).toEqual(empty);
});

test("a connection that containerd closes ends the call and the wait", async () => {
  const calling = connection.call("service", "Method", Buffer.alloc(0));
  const ended = connection.ended();
  socket.end();
  await expect(calling).rejects.toMatchObject({ code: "TENANTS", message: expect.stringMatching(/closed/) });
  await expect(ended).rejects.toMatchObject({ code: "TENANTS" });
});

test("a connection that is closed on purpose ends the wait without an error, and the socket", async () => {
  const ended = connection.ended();
  const closed = once(socket.resume(), "close");
  connection.close();
  await expect(ended).resolves.toBeUndefined();
  await closed;
});

test("a message above the limit ends the connection", async () => {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(0xff_ff_ff_ff, 4);
  const closed = once(socket.resume(), "close");
  socket.write(header);
  await expect(connection.ended()).rejects.toMatchObject({ code: "LIMIT" });
  await closed;
});
