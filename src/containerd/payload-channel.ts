import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { DecoderError, describeSystemError, errnoOf } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { Backoff } from "../process/wait.ts";

/** containerd's pipe with the payload: file descriptor 3 on Unix, a named pipe on Windows (containerd docs, stream processors). */
const PAYLOAD_FD = 3;
const WINDOWS_PIPE_VARIABLE = "STREAM_PROCESSOR_PIPE";
/** Holds nearly every payload; it is doubled for a longer one. */
const FIRST_BUFFER_BYTES = 8 * 1024;

/** The payload's bytes, or null when containerd passed none. @throws DecoderError BAD_PAYLOAD, LIMIT */
export async function readPayloadBytes(): Promise<Uint8Array<ArrayBuffer> | null> {
  if (process.platform === "win32") {
    const pipe = process.env[WINDOWS_PIPE_VARIABLE];
    return pipe ? readAndClose(openSync(pipe, "r")) : null;
  }
  const stat = statOf(PAYLOAD_FD);
  // Without a payload, 3 may be a descriptor of the runtime's own (an eventpoll), which is none of these.
  if (stat?.isFile()) return readAndClose(PAYLOAD_FD);
  if (stat?.isFIFO()) return readAndClose(reopenNonBlocking(PAYLOAD_FD) ?? PAYLOAD_FD);
  return stat?.isSocket() ? await readSocketPayload(PAYLOAD_FD) : null;
}

function statOf(fd: number): Stats | null {
  try {
    return fstatSync(fd);
  } catch {
    return null;
  }
}

/** A second opening of the same pipe, so that one which is never closed can be given up; null where that isn't possible. */
function reopenNonBlocking(fd: number): number | null {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
}

/** What Node.js makes when asked for a pipe. */
async function readSocketPayload(fd: number): Promise<Uint8Array<ArrayBuffer>> {
  const { readSocket } = await import("./payload-socket.ts");
  const bytes = readSocket(fd, LIMITS.payloadBytes + 1, LIMITS.payloadWaitMs);
  if (bytes === null) throw endless();
  if (bytes.length > LIMITS.payloadBytes) throw tooLarge();
  return bytes;
}

function readAndClose(fd: number): Uint8Array<ArrayBuffer> {
  try {
    return readToEnd(fd);
  } finally {
    closeSync(fd);
  }
}

function readToEnd(fd: number): Uint8Array<ArrayBuffer> {
  let buffer = new Uint8Array(FIRST_BUFFER_BYTES);
  const backoff = new Backoff();
  const deadline = performance.now() + LIMITS.payloadWaitMs;
  let length = 0;
  for (;;) {
    try {
      const count = readSync(fd, buffer, length, buffer.length - length, null);
      if (count === 0) break;
      length += count;
      backoff.reset();
      if (length > LIMITS.payloadBytes) throw tooLarge();
      if (length === buffer.length) buffer = enlarged(buffer);
    } catch (error) {
      if (error instanceof DecoderError) throw error;
      if (errnoOf(error) !== "EAGAIN") {
        throw new DecoderError("BAD_PAYLOAD", `can't read the payload: ${describeSystemError(error)}`, {
          cause: error,
        });
      }
      if (performance.now() > deadline) throw endless();
      backoff.sleep();
    }
  }
  return buffer.subarray(0, length);
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
    { hint: "whoever starts the decoder must close its end of that pipe after writing the payload" },
  );
}

function enlarged(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(buffer.length * 2);
  larger.set(buffer);
  return larger;
}
