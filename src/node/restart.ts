import { bootTime, type RunningContainerd } from "../containerd/process.ts";
import { DecoderError } from "../errors.ts";
import { notUndone } from "./failure.ts";
import type { InstallRecord } from "./record.ts";
import { restartAdvice } from "./restart-advice.ts";
import type { Service } from "./service.ts";

/** Whether containerd uses the new configuration. */
export type Restart = "done" | "pending" | "not needed";

/**
 * Whether containerd may still run with the configuration from before the record's change. A containerd that was not found
 * started no earlier than the machine.
 */
export function isStillPending(
  { pendingSince }: InstallRecord,
  running: RunningContainerd | undefined,
): boolean {
  if (pendingSince === undefined) return false;
  const started = running?.started ?? bootTime();
  return started === undefined || started.earliest <= pendingSince;
}

/** Changes that can still be undone. */
interface Undoable {
  finish(isPending: boolean): Promise<void>;
  /** @returns why a part could not be undone; undefined if everything was */
  rollBack(): Promise<string | undefined>;
}

/**
 * Restarts containerd if its configuration changed. If it does not come back, everything is undone and it is started with
 * the old configuration. If it could not be restarted but still runs, the restart remains to be done.
 * @throws DecoderError UNHEALTHY
 */
export async function restartOrUndo(
  service: Service,
  transaction: Undoable,
  { isNeeded, isWanted }: { readonly isNeeded: boolean; readonly isWanted: boolean },
): Promise<Restart> {
  if (!isNeeded || !isWanted) {
    await transaction.finish(isNeeded);
    return isNeeded ? "pending" : "not needed";
  }
  const problem = await service.restart();
  const isRunning = await service.isRunning();
  if (problem === undefined && isRunning) {
    await transaction.finish(false);
    return "done";
  }
  if (isRunning) {
    await transaction.finish(true);
    throw new DecoderError(
      "RESTART_PENDING",
      `containerd was not restarted, and runs with its old configuration: ${problem}`,
      {
        hint: `run this again with --restart, or ${restartAdvice(service.restartCommand)}`,
      },
    );
  }
  const left = await transaction.rollBack();
  const second = await service.restart();
  const outcome =
    second === undefined
      ? "runs with the old one again"
      : `does not start with the old one either: ${second}`;
  throw new DecoderError(
    "UNHEALTHY",
    `containerd did not start with the new configuration and ${outcome}${left === undefined ? "; everything was undone" : notUndone(left)}`,
    { hint: `see ${service.logs}` },
  );
}
