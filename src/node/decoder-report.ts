import { runCommand } from "../process/command.ts";
import * as LIMITS from "../system-limits.ts";
import { INSTALL } from "./check-processors.ts";
import type { Finding } from "./finding.ts";

/** The program that containerd runs as its decoder. */
export interface DecoderReport {
  readonly path: string;
  /** "ctd-decoder 0.1.0", or undefined for another program. */
  readonly version?: string;
  readonly findings: readonly Finding[];
}

/** What containerd/imgcrypt's decoder prints for a flag that it does not have. */
const GO_USAGE = /call-out from containerd content stream plugins/;

/** Finds out whose program is at a path: Go's decoder has the same name. */
export async function reportDecoder(
  path: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<DecoderReport> {
  const { end, output, errors } = await runCommand(path, ["--version"], {
    environment,
    timeoutMs: LIMITS.nodeCommandMs,
    outputBytes: LIMITS.nodeOutputBytes,
    errorBytes: LIMITS.nodeOutputBytes,
  });
  const [printed, complaint] = [Buffer.from(output).toString(), Buffer.from(errors).toString()];
  const [version] = /^ctd-decoder \d\S*/.exec(printed) ?? [];
  if (end.kind === "exit" && end.code === 0 && version !== undefined) return { path, version, findings: [] };
  const message = GO_USAGE.test(printed + complaint)
    ? `${path} is the decoder of containerd/imgcrypt, in Go`
    : `${path} is another program than this ctd-decoder`;
  return { path, findings: [{ severity: "warning", message, hint: INSTALL }] };
}
