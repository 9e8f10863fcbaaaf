import * as LIMITS from "../system-limits.ts";
import type { Connection } from "./connection.ts";
import { cutOff, notHttp } from "./connection-error.ts";
import type { Framing } from "./http-head.ts";

/** Reads the body of an answer. @throws Error of the system; ECONNRESET if the body ends early */
export async function* readBody(connection: Connection, framing: Framing): AsyncGenerator<Buffer> {
  if (framing.kind === "length") yield* readLength(connection, framing.length);
  else if (framing.kind === "chunked") yield* readChunked(connection);
  else {
    for (let bytes = await connection.read(); bytes !== undefined; bytes = await connection.read())
      yield bytes;
  }
}

async function* readLength(connection: Connection, length: number): AsyncGenerator<Buffer> {
  let left = length;
  while (left > 0) {
    const bytes = await connection.read();
    if (bytes === undefined) throw cutOff();
    if (bytes.length > left) connection.unread(bytes.subarray(left));
    const own = bytes.subarray(0, left);
    left -= own.length;
    yield own;
  }
}

/** RFC 9112 §7.1. */
async function* readChunked(connection: Connection): AsyncGenerator<Buffer> {
  for (;;) {
    const line = await connection.readUntil("\r\n", LIMITS.httpLineBytes);
    const size = /^([\da-fA-F]{1,12})[ \t]*(?:;.*)?$/.exec(line ?? "")?.[1];
    if (size === undefined) throw notHttp();
    const length = Number.parseInt(size, 16);
    if (length === 0) return await skipTrailers(connection);
    yield* readLength(connection, length);
    if ((await connection.readUntil("\r\n", 0)) === undefined) throw notHttp();
  }
}

async function skipTrailers(connection: Connection): Promise<void> {
  let left = LIMITS.httpLineBytes;
  while (left >= 0) {
    const line = await connection.readUntil("\r\n", left);
    if (line === "") return;
    if (line === undefined) break;
    left -= line.length + 2;
  }
  throw notHttp();
}
