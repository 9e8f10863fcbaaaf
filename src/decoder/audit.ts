import type { Candidate } from "../containerd/payload.ts";
import type { DecoderOptions } from "./flags.ts";
import type { OpenedCandidate } from "./open-layer.ts";

/** What is written down of a decoder call. One of `authentic` and `refused` is the verdict, the first counts. */
export interface Audit {
  /** Notes the descriptors that pass by, so that a refusal can name the layer. */
  watch(groups: Iterable<readonly Candidate[]>): Iterable<readonly Candidate[]>;
  /** Before anything that waits for the verdict is released. @throws DecoderError AUDIT, if the line is required */
  authentic(opened: OpenedCandidate, bytes: number): void;
  refused(error: unknown): void;
}

const NO_AUDIT: Audit = { watch: (groups) => groups, authentic: () => {}, refused: () => {} };

const VARIABLE = "OCICRYPT_AUDIT_LOG";

/** The audit that the options or the environment ask for; without one, nothing more is loaded. */
export async function startAudit(
  options: DecoderOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Audit> {
  const file = options.auditLog ?? environment[VARIABLE];
  if (file === undefined || file === "") return NO_AUDIT;
  const { AuditLog } = await import("./audit-log.ts");
  return new AuditLog(file, options);
}
