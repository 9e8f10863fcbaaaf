import type { Stats } from "node:fs";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import * as LIMITS from "../limits.ts";
import { constants, files } from "../process/files.ts";
import { backOff } from "../process/runtime.ts";

/** containerd's pipe with the payload: file descriptor 3 on Unix, a named pipe on Windows (containerd docs, stream processors). */
const PAYLOAD_FD = 3;
const WINDOWS_PIPE_VARIABLE = "STREAM_PROCESSOR_PIPE";
/** Holds nearly every payload. It is doubled for a longer one. */
const FIRST_BUFFER_BYTES = 8 * 1024;

/** Empty when the pipe was closed without a payload. */
type Payload = Uint8Array<ArrayBuffer>;

/** Reads the payload; null when containerd passed no pipe. @throws DecoderError BAD_PAYLOAD, LIMIT */
export function readPayloadBytes(): Payload | null | Promise<Payload> {
  if (process.platform === "win32") {
    const pipe = process.env[WINDOWS_PIPE_VARIABLE];
    return pipe ? readAndClose(files.openSync(pipe, "r")) : null;
  }
  const stat = statOf(PAYLOAD_FD);
  // Without a payload, 3 may be a descriptor of the runtime, such as an eventpoll.
  if (stat?.isFile()) return readAndClose(PAYLOAD_FD);
  if (stat?.isFIFO()) return readAndClose(reopenNonBlocking(PAYLOAD_FD) ?? PAYLOAD_FD);
  return stat?.isSocket() ? readSocketPayload(PAYLOAD_FD) : null;
}

/** Node.js, as a launcher, makes a socket where it is asked for a pipe. */
async function readSocketPayload(fd: number): Promise<Payload> {
  const { readSocket } = await import("./payload-socket.ts");
  const bytes = readSocket(fd, LIMITS.payloadBytes + 1, LIMITS.payloadWaitMs);
  if (bytes === null) throw endless();
  if (bytes.length > LIMITS.payloadBytes) throw tooLarge();
  return bytes;
}

function readAndClose(fd: number): Payload {
  try {
    return readToEnd(fd);
  } finally {
    files.closeSync(fd);
  }
}

function statOf(fd: number): Stats | null {
  try {
    return files.fstatSync(fd);
  } catch {
    return null;
  }
}

/** Opens the same pipe again, so that reading one that is never closed can be given up; null where that is impossible. */
function reopenNonBlocking(fd: number): number | null {
  try {
    return files.openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}

function readToEnd(fd: number): Uint8Array<ArrayBuffer> {
  let buffer = new Uint8Array(FIRST_BUFFER_BYTES);
  let waitedMs = 0;
  const deadline = performance.now() + LIMITS.payloadWaitMs;
  let length = 0;
  for (;;) {
    try {
      const count = files.readSync(fd, buffer, length, buffer.length - length, null);
      if (count === 0) break;
      length += count;
      waitedMs = 0;
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN")
        throw new DecoderError("BAD_PAYLOAD", `can't read the payload: ${describeSystemError(error)}`, {
          cause: error,
        });
      if (performance.now() > deadline) throw endless();
      waitedMs = backOff(waitedMs);
    }
    if (length > LIMITS.payloadBytes) throw tooLarge();
    if (length === buffer.length) buffer = enlarged(buffer);
  }
  return buffer.subarray(0, length);
}

function enlarged(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(buffer.length * 2);
  larger.set(buffer);
  return larger;
}

function tooLarge(): DecoderError {
  return new DecoderError(
    "LIMIT",
    `the payload that containerd passed is larger than ${LIMITS.payloadBytes} bytes`,
  );
}

function endless(): DecoderError {
  return new DecoderError(
    "BAD_PAYLOAD",
    `the payload on file descriptor 3 did not end within ${LIMITS.payloadWaitMs / 1000} s`,
    {
      hint: "the program that starts the decoder must close its end of that pipe after it wrote the payload",
    },
  );
}
