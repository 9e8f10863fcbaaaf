import { writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { readFully } from "../io/file.ts";
import {
  contentLength,
  decodeMessage,
  encodeMessage,
  type HelperMessage,
  LENGTHS_BYTES,
} from "./helper-message.ts";

/** The helper's descriptors. Output of foreign code on 1 and 2 can't be mistaken for an answer. */
const HELPER_FDS = { requests: 0, answers: 3, lifeline: 4 } as const;

/**
 * Foreign code may block this thread forever, so another thread waits for the parent's end. The thread's source is text,
 * because a separate file would have to be located inside the executable.
 */
const LIFELINE = `
const { readSync } = require("node:fs");
try { while (readSync(${HELPER_FDS.lifeline}, new Uint8Array(1)) > 0); } catch {}
process.kill(process.pid, "SIGKILL");
`;

/** Answers requests one after another. The helper ends with its parent process, whatever it is doing. */
export async function serveHelper(answer: (request: HelperMessage) => Promise<HelperMessage>): Promise<void> {
  new Worker(LIFELINE, { eval: true });
  try {
    for (let request = readMessage(); request !== null; request = readMessage()) {
      writeMessage(await answer(request));
    }
  } finally {
    // A plain exit would wait for the other thread, and run the exit handlers of foreign code.
    process.kill(process.pid, "SIGKILL");
  }
}

/** Returns null at the end of the requests. */
function readMessage(): HelperMessage | null {
  const lengths = readExactly(LENGTHS_BYTES);
  const content = lengths && readExactly(contentLength(lengths));
  if (lengths === null || content === null) return null;
  const message = decodeMessage(lengths, content);
  content.fill(0);
  return message;
}

function writeMessage(message: HelperMessage): void {
  const bytes = encodeMessage(message);
  for (let at = 0; at < bytes.length; ) at += writeSync(HELPER_FDS.answers, bytes, at);
  bytes.fill(0);
  message.body.fill(0);
}

function readExactly(length: number): Uint8Array<ArrayBuffer> | null {
  const bytes = new Uint8Array(length);
  return readFully(HELPER_FDS.requests, bytes, null) === length ? bytes : null;
}
