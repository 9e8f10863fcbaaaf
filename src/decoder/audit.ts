import type { ReleaseMode } from "../cipher/release.ts";
import type { FoundLayer } from "../containerd/payload.ts";
import type { OpenedLayer } from "../layer/open.ts";

export interface AuditOptions {
  /** A line is appended to this file for each layer; undefined: to the one that the environment names, if any. */
  readonly auditLog?: string;
  /** Releases nothing if the line can't be written. */
  readonly auditRequired: boolean;
  /** Whether containerd, not the image's author, wrote the `containerd.io/snapshot/cri.` annotations of a payload. */
  readonly trustCriAnnotations: boolean;
  /** Whether refusals also go to the system's log. */
  readonly journal: boolean;
}

/** The record of a decoder call. Of `authentic` and `refused`, the first call is the verdict. */
export interface Audit {
  /**
   * Call before anything that waits for the verdict is released.
   * @param bytes size of the layer
   * @throws DecoderError AUDIT, if the line is required
   */
  authentic(found: FoundLayer, layer: OpenedLayer, bytes: number): void;
  /** @param layer finds the one that was refused, if it can be known. It is called at most once, and may read the content store */
  refused(error: unknown, layer: () => FoundLayer | undefined): void;
}

/** Names the audit log where no flag does. */
export const AUDIT_VARIABLE = "OCICRYPT_AUDIT_LOG";

const NO_AUDIT: Audit = { authentic: () => {}, refused: () => {} };

/**
 * Starts the audit that was asked for. Without one, no more code is loaded.
 * @param mode is written to the log
 * @param fallback file where the options name none
 */
export function startAudit(
  { auditLog, auditRequired, trustCriAnnotations }: AuditOptions,
  mode: ReleaseMode,
  fallback: string | undefined,
): Audit | Promise<Audit> {
  const file = auditLog ?? fallback;
  if (file === undefined || file === "") return NO_AUDIT;
  const settings = { file, isRequired: auditRequired, trustCriAnnotations, mode };
  return import("./audit-log.ts").then(({ AuditLog }) => new AuditLog(settings));
}
