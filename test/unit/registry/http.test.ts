import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { Agents } from "../../../src/registry/agent.ts";
import { isPassing } from "../../../src/registry/connection-error.ts";
import { exchange } from "../../../src/registry/http.ts";
import type { HttpRequest } from "../../../src/registry/http-request.ts";
import { FakeTimers } from "../../support/fake-timers.ts";

const okOf = (length: number) => `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`;
const OK = okOf(0);
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const TOO_LONG = "x".repeat(17 * 1024);

let server: Server;
let agents: Agents;
/** What the server received, one text for each connection. */
let received: string[];
/** Called whenever bytes arrive, with the connection and all that it has received. */
let answer: (socket: Socket, all: string) => unknown;

beforeEach(async () => {
  received = [];
  server = createServer((socket) => {
    const at = received.push("") - 1;
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => {
      received[at] += bytes.toString("latin1");
      answer(socket, received[at] ?? "");
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const tls = { verify: true, authorities: [], pairs: [] };
  agents = new Agents({ api: url(), tls, environment: {} });
});

afterEach(async () => {
  await agents.close();
  if (server.listening) await once(server.close(), "close");
});

const url = () => new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v2/?a=b`);

const send = (request: Partial<HttpRequest> = {}) =>
  exchange({ method: "GET", url: url(), headers: {}, ...request }, agents);

async function ask(request: Partial<HttpRequest> = {}): Promise<{ status: number; body: string }> {
  const response = await send(request);
  return { status: response.status, body: Buffer.from(await response.read(1 << 20)).toString() };
}

/** Writes byte by byte, so that every border falls between two reads. */
async function drip(socket: Socket, text: string): Promise<void> {
  for (const byte of text) {
    await new Promise<unknown>((resolve) => socket.write(byte, "latin1", resolve));
    await new Promise(setImmediate);
  }
}

const failing = (message: RegExp) =>
  expect.objectContaining({ code: "REGISTRY", message: expect.stringMatching(message) });

const isWhole = (all: string) => all.endsWith("\r\n\r\n");

describe("an answer", () => {
  it.each([
    ["with a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    ["with its length twice", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"],
    [
      "in chunks",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n",
    ],
    [
      "in chunks with a trailer",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    ],
    ["after interim ones", `${CONTINUE}${CONTINUE}HTTP/1.1 200 \r\nContent-Length:5\r\n\r\nhello`],
  ])("%s is read, even byte by byte", async (_title, text) => {
    answer = (socket, all) => isWhole(all) && socket.write(text);
    const whole = await ask();
    answer = (socket, all) => void (isWhole(all) && drip(socket, text));
    const dripped = await ask();
    expect([whole, dripped]).toEqual(Array(2).fill({ status: 200, body: "hello" }));
    // Both answers came on one connection.
    expect(received).toHaveLength(1);
  });

  it("without a length ends with its connection", async () => {
    answer = (socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nhello");
    expect(await ask()).toEqual({ status: 200, body: "hello" });
    expect(await ask()).toEqual({ status: 200, body: "hello" });
    expect(received).toHaveLength(2);
  });

  it.each([
    ["204", "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"],
    ["to HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"],
  ] as const)("%s has no body, and its connection is used again", async (_title, method, text) => {
    answer = (socket, all) => isWhole(all) && socket.write(text);
    await send({ method });
    await send({ method });
    expect(received).toHaveLength(1);
  });

  it.each([
    ["that the server ends", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"],
    ["of HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
    ["that more follows", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"],
  ])("%s leaves a connection that is not used again", async (_title, text) => {
    answer = (socket, all) => isWhole(all) && socket.write(text);
    await ask();
    await ask();
    expect(received).toHaveLength(2);
  });

  it.each([
    ["of another protocol", "SSH-2.0-x\r\n\r\n"],
    ["of HTTP/2", "HTTP/2 200\r\n\r\n"],
    ["that switches protocols", "HTTP/1.1 101 Switching\r\n\r\n"],
    ["with a head without end", `HTTP/1.1 200 OK\r\nA: ${TOO_LONG}`],
    ["with only interim answers", CONTINUE.repeat(10)],
    ["with a folded header", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n"],
    ["with a bare line feed", "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n"],
    ["with a space before a colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"],
    ["with two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    ["with a no-break space before its length", "HTTP/1.1 200 OK\r\nContent-Length:\xa01\r\n\r\na"],
    ["with a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"],
    [
      "with a length and chunks",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["in another encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["with a chunk of no size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"],
    [
      "with a chunk longer than it says",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    ],
    [
      "with trailers without end",
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${"A: b\r\n".repeat(4000)}`,
    ],
  ])("%s is refused", async (_title, text) => {
    answer = (socket, all) => isWhole(all) && socket.write(text, "latin1");
    await expect(ask()).rejects.toEqual(failing(/the answer is not HTTP$/));
  });

  it.each([
    ["in its head", "HTTP/1.1 200 OK\r\nContent-Le"],
    ["in its body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"],
    ["in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell"],
    ["before the last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"],
  ])("that ends %s has broken off", async (_title, text) => {
    answer = (socket) => socket.end(text);
    await expect(ask()).rejects.toEqual(failing(/the connection broke$/));
  });

  it.each<[string, number, (size: number) => string]>([
    [
      "a head of 16 KiB",
      16_384,
      (size) => `${"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: ".padEnd(size, "b")}\r\n\r\n`,
    ],
    ["a line of 4 KiB with a chunk's size", 4096, (size) => `${CHUNKED}${"0;".padEnd(size, "a")}\r\n\r\n`],
    ["trailers of 4 KiB", 4096, (size) => `${CHUNKED}0\r\nA: b\r\n${"C: ".padEnd(size - 8, "d")}\r\n\r\n`],
    ["8 interim answers", 8, (count) => `${CONTINUE.repeat(count)}HTTP/1.1 204 OK\r\n\r\n`],
  ])("may have %s, and no more", async (_title, most, textOf) => {
    answer = (socket, all) => isWhole(all) && socket.write(textOf(most));
    expect((await ask()).body).toBe("");
    answer = (socket, all) => isWhole(all) && socket.write(textOf(most + 1));
    await expect(ask()).rejects.toEqual(failing(/the answer is not HTTP$/));
  });

  it("leaves a connection that is used again if its last 64 KiB are not wanted, but no more", async () => {
    const unwanted = async (size: number) => {
      answer = (socket, all) => isWhole(all) && socket.write(okOf(size) + "x".repeat(size));
      await (await send()).discard();
    };
    await unwanted(65_536);
    await unwanted(65_537);
    expect(received).toHaveLength(1);
    await unwanted(0);
    expect(received).toHaveLength(2);
  });

  it("in chunks of one byte comes whole, and few of them are held", async () => {
    const lengths: number[] = [];
    const { concat } = Buffer;
    const spy = vi.spyOn(Buffer, "concat").mockImplementation((chunks, ...size) => {
      lengths.push(chunks.length);
      return concat(chunks, ...size);
    });
    onTestFinished(() => spy.mockRestore());
    const text = "0123456789".repeat(4000);
    const chunks = text.replace(/./g, "1\r\n$&\r\n");
    answer = (socket, all) =>
      isWhole(all) && socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`);
    expect((await ask()).body).toBe(text);
    expect(Math.max(...lengths)).toBe(16_384);
  });

  it("states what it is once, whatever a proxy adds", async () => {
    answer = (socket) =>
      socket.write(
        "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\ncontent-type: c/d\r\nLink: <a>\r\nLink: <b>\r\nContent-Length: 0\r\n\r\n",
      );
    const response = await send();
    expect([response.header("Content-Type"), response.header("link")]).toEqual(["a/b", "<a>, <b>"]);
  });
});

describe("a server may take", () => {
  const late = { status: "rejected", reason: failing(/: it took too long$/) };

  it("30 s for a connection", async () => {
    // It never answers the greeting of TLS.
    const greeted = Promise.withResolvers<void>();
    answer = () => greeted.resolve();
    const timers = new FakeTimers();
    const asked = send({ url: new URL(url().href.replace("http:", "https:")) });
    await greeted.promise;
    expect(await timers.endOf(asked, 30_000)).toEqual(late);
  });

  it("a minute for the first byte of an answer", async () => {
    answer = () => undefined;
    const timers = new FakeTimers();
    const asked = send();
    // For the connection, the request, and the answer.
    await timers.started(3);
    expect(await timers.endOf(asked, 60_000)).toEqual(late);
  });

  it("a minute for the next byte of a body", async () => {
    answer = (socket) => socket.write(okOf(5));
    const { body } = await send();
    expect(await new FakeTimers().endOf(body.next(), 60_000)).toEqual(late);
  });

  it("five minutes for a document, byte by byte", async () => {
    let other: Socket | undefined;
    answer = (socket) => {
      other = socket;
      socket.write(okOf(9));
    };
    const response = await send();
    const timers = new FakeTimers();
    const document = response.read(9);
    // Each byte starts a timer for the next one.
    for (let bytes = 1; bytes <= 5; bytes++) {
      timers.advance(50_000);
      other?.write("x");
      await timers.started(2 + bytes);
    }
    expect(await timers.endOf(document, 50_000)).toEqual(late);
    // The next answer would take as long.
    await expect(document).rejects.not.toSatisfy(isPassing);
  });

  it("five minutes for each MiB of a body, byte by byte", async () => {
    const size = 1 << 20;
    let other: Socket | undefined;
    answer = (socket) => {
      other = socket;
      socket.write(okOf(2 * size));
    };
    const { body } = await send();
    const clock = vi.spyOn(performance, "now").mockReturnValue(0);
    onTestFinished(() => void clock.mockRestore());
    const next = async (chunk: Uint8Array, milliseconds: number) => {
      const arrival = body.next();
      clock.mockReturnValue(clock() + milliseconds);
      other?.write(chunk);
      return (await arrival).value?.length;
    };
    expect(await next(Buffer.alloc(1), 299_999)).toBe(1);
    // The time between two chunks does not count.
    clock.mockReturnValue(clock() + 300_000);
    expect(await next(Buffer.alloc(1), 1)).toBe(1);
    let rest = size - 2;
    while (rest > 0) rest -= (await next(Buffer.alloc(Math.min(rest, 1000)), 0)) ?? rest;
    expect(await next(Buffer.alloc(1), 300_000)).toBe(1);
    const tooLong = next(Buffer.alloc(1), 1);
    await expect(tooLong).rejects.toEqual(late.reason);
    await expect(tooLong).rejects.not.toSatisfy(isPassing);
  });

  it("a second for the rest of a body that is not wanted", async () => {
    answer = (socket) => socket.write(okOf(5));
    const response = await send();
    expect(await new FakeTimers().endOf(response.discard(), 1000)).toMatchObject({ status: "fulfilled" });
  });
});

describe("a request", () => {
  it("has its head and body as they are", async () => {
    answer = (socket, all) => all.endsWith("hello") && socket.write(OK);
    await ask({ method: "PUT", headers: { "X-A": "b" }, body: { bytes: Buffer.from("hello") } });
    expect(received).toEqual([
      `PUT /v2/?a=b HTTP/1.1\r\nHost: ${url().host}\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello`,
    ]);
  });

  it("of unknown size goes out in chunks, empty ones excepted", async () => {
    answer = (socket, all) => all.endsWith("0\r\n\r\n") && socket.write(OK);
    const chunks = (async function* () {
      for (const text of ["", "hello", "", "you"]) yield Buffer.from(text);
    })();
    await ask({ method: "PATCH", body: { chunks } });
    expect(received[0]?.split("\r\n\r\n").slice(1).join("\r\n\r\n")).toBe(
      "5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n",
    );
  });

  it("returns each chunk once it is sent, and only then", async () => {
    answer = (socket, all) => all.endsWith("z".repeat(1_000_000)) && socket.write(OK);
    const made = ["x", "y", "z"].map((text) => Buffer.from(text.repeat(1_000_000)));
    const events: string[] = [];
    const chunks = (async function* () {
      for (const chunk of made) {
        events.push(`make ${String.fromCharCode(chunk[0] ?? 0)}`);
        yield chunk;
      }
    })();
    const onSent = (chunk: Uint8Array) => {
      events.push(`sent ${String.fromCharCode(chunk[0] ?? 0)}`);
      // Whatever is still to be sent would change.
      chunk.fill(0);
    };
    await ask({ method: "PATCH", body: { chunks, size: 3_000_000, onSent } });
    expect(events).toEqual(["make x", "sent x", "make y", "sent y", "make z", "sent z"]);
    expect(received[0]?.endsWith(`${"x".repeat(1e6)}${"y".repeat(1e6)}${"z".repeat(1e6)}`)).toBe(true);
  });

  it("that is answered before its end is given up, and its connection with it", async () => {
    answer = (socket, all) => {
      if (all.startsWith("PATCH")) socket.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      else socket.write(OK);
    };
    let hasEnded = false;
    const chunks = (async function* () {
      try {
        for (;;) {
          yield Buffer.alloc(1000);
          await new Promise(setImmediate);
        }
      } finally {
        hasEnded = true;
      }
    })();
    expect(await ask({ method: "PATCH", body: { chunks, size: 1e12 } })).toEqual({ status: 403, body: "no" });
    await expect.poll(() => hasEnded).toBe(true);
    await ask();
    expect(received).toHaveLength(2);
  });

  it.each([
    ["keeps", (socket: Socket) => void socket.write(OK)],
    ["ends", (socket: Socket) => void socket.pause().end(OK)],
  ])("that is accepted before its end fails, if the server %s the connection", async (title, accept) => {
    const accepted = Promise.withResolvers<void>();
    let server: Socket | undefined;
    answer = (socket) => {
      server = socket;
      accept(socket);
      accepted.resolve();
    };
    const chunks = (async function* () {
      yield Buffer.from("x");
      // More than the buffers of a connection hold.
      if (title === "ends") yield Buffer.alloc(64 << 20);
      await accepted.promise;
      for (;;) {
        yield Buffer.from("y");
        await new Promise(setImmediate);
      }
    })();
    await expect(ask({ method: "PATCH", body: { chunks, size: 1e12 } })).rejects.toEqual(
      failing(/^127\.0\.0\.1:\d+ accepted a body before it was all sent$/),
    );
    server?.resume();
  });

  it("never has more bytes than it announces", async () => {
    const greeted = Promise.withResolvers<void>();
    answer = (_socket, all) => all.endsWith("hello") && greeted.resolve();
    const chunks = (async function* () {
      yield Buffer.from("hello");
      await greeted.promise;
      yield Buffer.from("GET /evil HTTP/1.1\r\n\r\n");
    })();
    await expect(ask({ method: "PATCH", body: { chunks, size: 7 } })).rejects.toMatchObject({
      code: "SIZE_MISMATCH",
    });
    await agents.close();
    await once(server.close(), "close");
    expect(received[0]).toMatch(/Content-Length: 7\r\n\r\nhello$/);
  });

  it("of one large chunk may take longer than one that makes no progress", async () => {
    const [chunk, step] = [Buffer.alloc(48 << 20), 8 << 20];
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      let steps = 0;
      answer = (socket, all) => {
        for (; steps < Math.floor(all.length / step); steps += 1) vi.advanceTimersByTime(40_000);
        if (all.length > chunk.length) socket.write(OK);
      };
      const chunks = (async function* () {
        yield chunk;
      })();
      expect(await ask({ method: "PATCH", body: { chunks, size: chunk.length } })).toMatchObject({
        status: 200,
      });
      expect(steps).toBe(6);
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(["GET", "HEAD"] as const)("%s does not fail when kept connections have ended", async (method) => {
    let open = 0;
    answer = (socket, all) => {
      // Each connection takes one request, and ends when a second one comes.
      if (all.split("\r\n\r\n").length > 2) return socket.destroy();
      open += 1;
      return open > 2 ? socket.write(OK) : setTimeout(() => socket.write(OK), 50);
    };
    await Promise.all([send(), send()]);
    await send({ method });
    expect(received.map((all) => all.split(" ", 1)[0])).toEqual(["GET", "GET", method]);
  });

  it("that writes is not sent again", async () => {
    answer = (socket, all) => (all.includes("POST") ? socket.destroy() : socket.write(OK));
    await send();
    await expect(send({ method: "POST" })).rejects.toEqual(failing(/the connection broke$/));
    expect(received).toHaveLength(1);
  });

  it("after the end is answered over a connection that is not kept", async () => {
    const ended = Promise.withResolvers<void>();
    answer = (socket) => {
      socket.once("close", () => ended.resolve());
      socket.write(OK);
    };
    await agents.close();
    await ask();
    await ended.promise;
  });

  it("can be aborted while a connection is made", async () => {
    const [aborting, greeted] = [new AbortController(), Promise.withResolvers<void>()];
    answer = () => greeted.resolve();
    // The connection's own deadline never comes.
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    try {
      const secure = new URL(url().href.replace("http:", "https:"));
      const asked = ask({ url: secure, signal: aborting.signal });
      await greeted.promise;
      aborting.abort();
      await expect(asked).rejects.toMatchObject({ code: "INTERRUPTED" });
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(["a\r\nX-Evil: b", "a\nb", "a\0b", "ключ"])("with the header %j is not sent", async (value) => {
    await expect(ask({ headers: { Authorization: value } })).rejects.toEqual(
      failing(/^the header Authorization for 127\.0\.0\.1:\d+ has characters that are not allowed$/),
    );
    expect(received).toEqual([]);
  });

  it.each(["X A", "X\r\nY", "", "X:"])("with a header named %j is not sent", async (name) => {
    await expect(ask({ headers: { [name]: "a" } })).rejects.toEqual(
      failing(/has characters that are not allowed$/),
    );
    expect(received).toEqual([]);
  });
});
