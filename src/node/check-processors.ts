import { basename, isAbsolute } from "node:path";
import type { ConfiguredProcessor } from "../containerd/config.ts";
import {
  flagValue,
  GZIP_TYPE,
  PAYLOAD_IDS,
  PROVIDER_CONFIG,
  PROVIDER_VARIABLE,
  type StreamProcessor,
  TAR_TYPE,
  variableValue,
} from "../containerd/stream-processors.ts";
import { type DecoderOptions, parseDecoderFlags } from "../decoder/flags.ts";
import { DecoderError } from "../errors.ts";
import { encryptedTypes, parseLayerType } from "../spec/media-types.ts";
import type { Finding } from "./finding.ts";

/** What to do on a node without a decoder. */
export const INSTALL = "run `ctd-decoder install`: it installs the decoder and configures containerd";

/** Finds files as containerd would. */
export interface FileLookup {
  /** @param path a path, or a name on containerd's PATH. @returns undefined if no executable is found */
  findProgram(path: string): string | undefined;
  exists(path: string): boolean;
}

type Processors = ReadonlyMap<string, ConfiguredProcessor>;

/** The types that tools write today. Others are old, or written by mistake. */
const USUAL_TYPES: ReadonlySet<string> = new Set(
  [TAR_TYPE, GZIP_TYPE, `${TAR_TYPE}+zstd`].map((type) => `${type}+encrypted`),
);

export function* checkProcessors(processors: Processors, lookup: FileLookup): Generator<Finding> {
  const isInstalled = [...processors.values()].some(({ path }) => lookup.findProgram(path) !== undefined);
  yield* checkCoverage(processors, isInstalled);
  for (const [id, processor] of processors) {
    const accepted = processor.accepts.filter((type) => parseLayerType(type)?.encrypted);
    const foreign = processor.accepts.filter((type) => !type.endsWith("+encrypted"));
    const isDecoder = accepted.length > 0 || (PAYLOAD_IDS.includes(id) && foreign.length > 0);
    if (!isDecoder) continue;
    if (foreign.length > 0) {
      yield error(
        `${id} accepts ${foreign.join(", ")}, which is not encrypted: the decoder refuses every such layer`,
        "list only media types that end in +encrypted",
      );
    }
    if (!PAYLOAD_IDS.includes(id)) {
      yield {
        severity: "warning",
        message: `no containerd passes a payload to the ID ${id}`,
        hint: `move its accepts to ${PAYLOAD_IDS.join(" or ")}`,
      };
    }
    yield* checkReturns(id, processor, accepted);
    yield* checkCommand(id, processor, lookup);
  }
}

/** One processor must accept each encrypted type. Of several, containerd picks one at random. */
function* checkCoverage(processors: Processors, isInstalled: boolean): Generator<Finding> {
  const missing: string[] = [];
  for (const type of encryptedTypes()) {
    const ids = [...processors].filter(([, { accepts }]) => accepts.includes(type)).map(([id]) => id);
    if (ids.length > 1)
      yield error(`${type} is accepted by ${ids.join(" and ")}: containerd picks one of them at random`);
    if (ids.length === 0) missing.push(type);
  }
  const usual = missing.filter((type) => USUAL_TYPES.has(type));
  const hint = isInstalled ? "`ctd-decoder config` prints processors that accept all types" : INSTALL;
  if (usual.length > 0) yield error(`no stream processor accepts ${usual.join(", ")}`, hint);
  const others = missing.filter((type) => !USUAL_TYPES.has(type));
  if (others.length > 0) {
    yield {
      severity: "note",
      message: `no stream processor accepts ${others.length} rarer types, such as ${others[0]}`,
      hint,
    };
  }
}

function* checkReturns(
  id: string,
  { returns, args }: ConfiguredProcessor,
  accepted: readonly string[],
): Generator<Finding> {
  const returned = parseLayerType(returns);
  if (returned === undefined || returned.encrypted) {
    yield error(`${id} returns ${JSON.stringify(returns)}, which is not the type of a plain layer`);
    return;
  }
  const compressed = accepted.filter((type) => parseLayerType(type)?.compression !== "none");
  if (returned.compression !== "none" || compressed.length === 0 || flagValue(args, "returns") === "tar")
    return;
  yield error(
    `${id} returns an uncompressed layer, but ${compressed.join(", ")} stays compressed when decrypted`,
    `set its returns to ${GZIP_TYPE}, or add "--returns", "tar" to its args`,
  );
}

function* checkCommand(
  id: string,
  { path, args, env, file }: ConfiguredProcessor,
  lookup: FileLookup,
): Generator<Finding> {
  const origin = file === undefined ? "containerd's default" : file;
  if (lookup.findProgram(path) === undefined) {
    yield error(
      `${id} runs ${JSON.stringify(path)} (${origin}), which is not an executable${isAbsolute(path) ? "" : " on containerd's PATH"}`,
      INSTALL,
    );
  }
  if (isDecoderPath(path)) yield* checkFlags(id, args);
  const keys = flagValue(args, "decryption-keys-path");
  if (keys === undefined) {
    yield {
      severity: "warning",
      message: `${id} has no --decryption-keys-path: its only keys are those that a client passes`,
    };
  } else if (!lookup.exists(keys)) {
    yield { severity: "warning", message: `${id}: the keys path ${keys} does not exist` };
  }
  const providers = variableValue(env, PROVIDER_VARIABLE);
  if (providers !== undefined && providers !== PROVIDER_CONFIG && !lookup.exists(providers))
    yield {
      severity: "warning",
      message: `${id}: the key provider configuration ${providers} does not exist`,
    };
}

function* checkFlags(id: string, args: readonly string[]): Generator<Finding> {
  try {
    parseDecoderFlags(args);
  } catch (cause) {
    if (!(cause instanceof DecoderError)) throw cause;
    yield error(`${id}: the decoder refuses its args: ${cause.message}`);
  }
}

/** The parsed args of a processor that runs this decoder; undefined if the decoder would refuse them. */
export function argsOf(processor: StreamProcessor | undefined): DecoderOptions | undefined {
  try {
    return processor && parseDecoderFlags(processor.args);
  } catch (cause) {
    if (cause instanceof DecoderError) return undefined;
    throw cause;
  }
}

/** Go's decoder has the same name, and accepts a subset of the flags. */
export function isDecoderPath(path: string): boolean {
  return basename(path) === "ctd-decoder";
}

function error(message: string, hint?: string): Finding {
  return { severity: "error", message, ...(hint !== undefined && { hint }) };
}
