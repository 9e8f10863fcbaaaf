import { isObject, parseJsonObject } from "../encoding/json.ts";
import { runCommand } from "../process/command.ts";
import { findExecutable } from "../process/find-executable.ts";
import { userId } from "../process/user.ts";
import * as LIMITS from "../system-limits.ts";

/** A layer that the decoder refused, as it reported to the journal. */
export interface Refusal {
  /** ISO 8601. */
  readonly time: string;
  readonly message: string;
}

const MOST = 5;
/** The decoder writes to syslog under its name; verdicts of refused layers have this priority or a higher one. */
const QUERY = [
  "--identifier=ctd-decoder",
  "--priority=warning",
  `--lines=${MOST}`,
  "--output=json",
  "--no-pager",
  "--quiet",
];
/** Any user can write to the journal under the decoder's name. containerd's decoder runs as the user who asks here, usually root. */
const OWN_USER = `_UID=${userId()}`;

/** The last refusals in the journal, the newest last. Empty if the journal is missing or unreadable. */
export async function lastRefusals(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Refusal[]> {
  const program = findExecutable("journalctl", environment["PATH"] ?? "");
  if (program === undefined) return [];
  const { output } = await runCommand(program, [...QUERY, OWN_USER], {
    environment,
    timeoutMs: LIMITS.nodeCommandMs,
    outputBytes: LIMITS.journalBytes,
    errorBytes: 0,
  });
  const lines = Buffer.from(output).toString().split("\n");
  return lines.flatMap((line) => refusalOf(Buffer.from(line)) ?? []).slice(-MOST);
}

/** systemd's journal export in JSON: a message that is not UTF-8 is a list of bytes. */
function refusalOf(line: Uint8Array): Refusal | undefined {
  const entry = parseJsonObject(line);
  if (!isObject(entry)) return undefined;
  const { MESSAGE: message, __REALTIME_TIMESTAMP: microseconds } = entry;
  const text = Array.isArray(message) ? Buffer.from(message as number[]).toString() : message;
  const time = new Date(Number(microseconds) / 1000);
  if (typeof text !== "string" || Number.isNaN(time.getTime())) return undefined;
  return { time: time.toISOString(), message: text };
}
