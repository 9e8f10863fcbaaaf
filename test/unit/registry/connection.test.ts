import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { expect, test, vi } from "vitest";
import { Connection } from "../../../src/registry/connection.ts";
import { FakeTimers } from "../../support/fake-timers.ts";

const MiB = 1_048_576;

/** A socket whose other side takes nothing. */
class IdleSocket extends EventEmitter {
  readonly pause = vi.fn();
  readonly resume = vi.fn();
  readonly write = vi.fn();
  readonly destroy = vi.fn();
}

function connect() {
  const socket = new IdleSocket();
  const connection = new Connection(socket as unknown as Socket);
  socket.resume.mockClear();
  return { socket, connection };
}

test("receiving pauses at 1 MiB of unread bytes, and goes on below it", async () => {
  const { socket, connection } = connect();
  socket.emit("data", Buffer.alloc(1));
  socket.emit("data", Buffer.alloc(MiB - 2));
  expect(socket.pause).not.toHaveBeenCalled();
  socket.emit("data", Buffer.alloc(2));
  expect(socket.pause).toHaveBeenCalledTimes(1);
  await connection.read();
  expect(socket.resume).not.toHaveBeenCalled();
  await connection.read();
  expect(socket.resume).toHaveBeenCalledTimes(1);
});

test("a server has a minute to take a piece", async () => {
  const { socket, connection } = connect();
  const timers = new FakeTimers();
  expect(await timers.endOf(connection.write(Buffer.alloc(1)), 60_000)).toEqual({
    status: "fulfilled",
    value: false,
  });
  expect(socket.destroy).toHaveBeenCalledTimes(1);
  await expect(connection.read()).rejects.toMatchObject({ code: "ETIMEDOUT" });
});
