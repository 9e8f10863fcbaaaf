import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openTunnel, proxyError } from "../../../src/registry/tunnel.ts";

const TARGET = new URL("https://[fd00::1]/v2/");
let server: Server;
let answer: (socket: Socket) => void;

beforeEach(async () => {
  server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => answer(socket));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
});

afterEach(async () => {
  await once(server.close(), "close");
});

/** Connects, asks for a tunnel, and hands the socket to `use`. */
async function tunnel(use: (socket: Socket) => Promise<void> = async () => undefined): Promise<void> {
  const { port } = server.address() as AddressInfo;
  const proxy = { url: new URL(`http://proxy.example:${port}`) };
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    await openTunnel(socket, proxy, TARGET).catch((error) => Promise.reject(proxyError(proxy, error)));
    await use(socket);
  } finally {
    socket.destroy();
  }
}

const refused = (message: RegExp) =>
  expect.objectContaining({
    code: "REGISTRY",
    message: expect.stringMatching(message),
    hint: expect.stringMatching(/names the proxy proxy\.example:\d+/),
  });

describe("a tunnel through a proxy", () => {
  it("opens when the answer comes byte by byte, and leaves what follows to its user", async () => {
    answer = async (socket) => {
      for (const byte of "HTTP/1.1 200 OK\r\nVia: one that takes its time\r\n\r\n") {
        await new Promise<unknown>((resolve) => socket.write(byte, resolve));
        await new Promise(setImmediate);
      }
      socket.write("hello");
    };
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on("warning", note);
    await tunnel(async (socket) => {
      expect(["readable", "end", "close"].map((event) => socket.listenerCount(event))).toEqual(
        ["readable", "end", "close"].map((event) => connect({ port: 1 }).destroy().listenerCount(event)),
      );
      const [data] = await once(socket, "data");
      expect(data.toString()).toBe("hello");
    });
    process.off("warning", note);
    expect(warnings).toEqual([]);
  });

  it("leaves what came with the answer to its user", async () => {
    answer = (socket) => socket.write("HTTP/1.0 204 fine\r\n\r\nhello");
    await tunnel(async (socket) => {
      const [data] = await once(socket, "data");
      expect(data.toString()).toBe("hello");
    });
  });

  it.each([
    ["HTTP/1.1 403 Forbidden\r\n\r\n", /opens no connection to \[fd00::1\]:443: it answered 403$/],
    ["HTTP/1.1 407 No\r\n\r\n", /: it wants other credentials$/],
    ["SSH-2.0-x\r\n\r\n", /: its answer is not HTTP$/],
    [`HTTP/1.1 200 OK\r\nX: ${"x".repeat(16 << 10)}`, /: its answer is not HTTP$/],
  ])("is refused by %j", async (text, message) => {
    answer = (socket) => socket.write(text);
    await expect(tunnel()).rejects.toEqual(refused(message));
  });

  it("opens with a head of 16 KiB, and with no longer one, even if it comes at once", async () => {
    const start = "HTTP/1.1 200 OK\r\nX: ";
    for (const [size, outcome] of [
      [16_384, "open"],
      [16_385, "refused"],
    ] as const) {
      answer = (socket) => socket.write(`${start.padEnd(size, "x")}\r\n\r\n`);
      const opened = tunnel().then(
        () => "open",
        () => "refused",
      );
      expect(await opened).toBe(outcome);
    }
  });

  it("is refused by a proxy that disconnects", async () => {
    answer = (socket) => socket.end("HTTP/1.1 200");
    await expect(tunnel()).rejects.toEqual(
      refused(/^can't reach http:\/\/proxy\.example:\d+\/: the connection broke$/),
    );
  });
});
