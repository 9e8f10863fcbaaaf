import { type Handover, parsePayload } from "../containerd/payload.ts";
import { readPayloadBytes } from "../containerd/payload-channel.ts";
import type { Input } from "../io/input.ts";
import type { Output } from "../io/output.ts";
import { loadKeys } from "../keys/load.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import { startAudit } from "./audit.ts";
import type { DecoderOptions } from "./flags.ts";
import { openings } from "./open-layer.ts";
import { releaseAuthentic } from "./release.ts";

type Environment = SchemeSettings["environment"];

/** One decoder call: what containerd hands over → keys → the layer's key → verified plaintext. */
export async function decode(
  options: DecoderOptions,
  environment: Environment,
  input: Input,
  output: Output,
): Promise<void> {
  const audit = await startAudit(options, environment);
  try {
    const { candidates, parameters } = await receive(options, environment, input);
    const keys = await loadKeys(options, parameters);
    const opened = openings(audit.watch(candidates), keys, { ...options, environment });
    await releaseAuthentic(opened, { input, output }, options, audit);
  } catch (error) {
    audit.refused(error);
    throw error;
  }
}

/** The layer's descriptor from file descriptor 3, or else from containerd's content store. */
async function receive(options: DecoderOptions, environment: Environment, input: Input): Promise<Handover> {
  const payload = await readPayloadBytes();
  if (payload !== null) {
    const { descriptor, parameters } = parsePayload(payload);
    return { candidates: [[{ descriptor }]], parameters };
  }
  const { searchStore } = await import("../containerd/store/lookup.ts");
  return searchStore(input, options, environment["STREAM_PROCESSOR_MEDIATYPE"]);
}
