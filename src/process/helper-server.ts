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

/** The helper's descriptors. What foreign code prints on 1 and 2 can't be taken for an answer. */
const HELPER_FDS = { requests: 0, answers: 3, lifeline: 4 } as const;

/**
 * Foreign code may block this thread for ever, and then nobody reads that the parent is gone. Another thread waits for
 * that. As text: a file of its own would have to be found again inside the executable.
 */
const LIFELINE = `
const { readSync } = require("node:fs");
try { while (readSync(${HELPER_FDS.lifeline}, new Uint8Array(1)) > 0); } catch {}
process.kill(process.pid, "SIGKILL");
`;

/** Answers requests, one after the other, as long as the parent process lives; ends with it, whatever goes on. */
export async function serveHelper(answer: (request: HelperMessage) => Promise<HelperMessage>): Promise<void> {
  new Worker(LIFELINE, { eval: true });
  try {
    for (let request = readMessage(); request !== null; request = readMessage()) {
      writeMessage(await answer(request));
    }
  } finally {
    // A plain exit would wait for the other thread, and run what foreign code left for the end.
    process.kill(process.pid, "SIGKILL");
  }
}

/** null at the end of the requests. */
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
