import { DecoderError } from "../errors.ts";
import { appendLine } from "../io/append.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { printable } from "../text.ts";
import { KubeApi } from "./api.ts";
import { type Allowed, admit, type ContainerRequest } from "./gate.ts";
import { findKubeconfig, readKubeconfig } from "./kubeconfig.ts";
import { SealRecords } from "./seal-record.ts";
import { storeOf, type TenantSettings } from "./settings.ts";
import { Verdicts } from "./verdicts.ts";

const MESSAGE_CHARS = 512;

/**
 * Decides about one container, and writes the decision to the audit log.
 * @throws DecoderError when the container must not start
 */
export async function guard(
  request: ContainerRequest,
  settings: TenantSettings,
  schemes: SchemeSettings,
): Promise<void> {
  const { environment } = schemes;
  const apis: KubeApi[] = [];
  try {
    const store = storeOf(settings);
    const { sharesNodeLayers, exemptNamespaces: exempt } = settings;
    const allowed = await admit(
      request,
      { store, schemes, sharesNodeLayers, exempt },
      {
        records: new SealRecords(settings.sealedDirectory),
        verdicts: new Verdicts(settings.verdictDirectory),
        api: () => {
          const api = new KubeApi(() => readKubeconfig(findKubeconfig(settings.kubeconfig), environment));
          apis.push(api);
          return api;
        },
      },
    );
    if (allowed.chains.length > 0) audit(settings, request, allowed);
  } catch (error) {
    audit(settings, request, error);
    throw error;
  } finally {
    for (const api of apis) api.close();
  }
}

function audit(
  { auditLog }: TenantSettings,
  { containerId, pod }: ContainerRequest,
  outcome: Allowed | unknown,
): void {
  if (auditLog === undefined) return;
  const refused = outcome instanceof Error;
  const record = {
    time: new Date().toISOString(),
    verdict: refused ? (outcome instanceof DecoderError ? outcome.code : "INTERNAL") : "allowed",
    container: printable(containerId, MESSAGE_CHARS),
    pod: printable(`${pod.namespace}/${pod.name}`, MESSAGE_CHARS),
    uid: printable(pod.uid, MESSAGE_CHARS),
    ...(refused && outcome instanceof DecoderError && { message: printable(outcome.message, MESSAGE_CHARS) }),
    ...(!refused && (outcome as Allowed)),
  };
  try {
    appendLine(auditLog, JSON.stringify(record));
  } catch {
    // The gate's own verdict does not depend on its log.
  }
}
