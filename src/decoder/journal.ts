import type { LayerDescriptor } from "../containerd/payload.ts";
import { DecoderError } from "../errors.ts";
import { findExecutable } from "../process/find-executable.ts";
import { startUnattended } from "../process/unattended.ts";
import { printable } from "../text.ts";

/** Where the command is, wherever containerd's PATH leads. */
const USUAL_PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
const TEXT_CHARS = 1024;

/**
 * Reports a refused layer to the system's log, for `journalctl -t ctd-decoder` and `ctd-decoder doctor`. The runtimes can't
 * write to /dev/log, a datagram socket: logger(1) does. It is not waited for, and holds none of this process's descriptors.
 */
export function reportRefusal(error: unknown, layer: LayerDescriptor | undefined): void {
  const logger = findExecutable("logger", USUAL_PATH);
  if (logger === undefined) return;
  const reason = error instanceof DecoderError ? `${error.code}: ${error.message}` : "INTERNAL";
  const text = printable(`refused layer ${layer?.digest ?? "(unknown)"}: ${reason}`, TEXT_CHARS);
  startUnattended(logger, ["-t", "ctd-decoder", "-p", "daemon.err", "--", text]);
}
