import { existsSync } from "node:fs";
import { basename, isAbsolute } from "node:path";
import type { ConfiguredProcessor } from "../containerd/config.ts";
import {
  flagValue,
  GZIP_TYPE,
  PAYLOAD_IDS,
  PROVIDER_CONFIG,
  PROVIDER_VARIABLE,
  TAR_TYPE,
  variableValue,
} from "../containerd/stream-processors.ts";
import { parseDecoderFlags } from "../decoder/flags.ts";
import { DecoderError } from "../errors.ts";
import { findExecutable } from "../process/find-executable.ts";
import { encryptedTypes, parseLayerType } from "../spec/media-types.ts";
import type { Finding } from "./finding.ts";

/** What to do on a node without a decoder. */
export const INSTALL = "scripts/install-node puts the decoder on a node, and into containerd's configuration";

type Processors = ReadonlyMap<string, ConfiguredProcessor>;

/** What tools encrypt today; the others are old or come of mistakes. */
const USUAL_TYPES: ReadonlySet<string> = new Set(
  [TAR_TYPE, GZIP_TYPE, `${TAR_TYPE}+zstd`].map((type) => `${type}+encrypted`),
);

/** @param searchPath containerd's PATH */
export function* checkProcessors(processors: Processors, searchPath: string): Generator<Finding> {
  yield* checkCoverage(processors);
  for (const [id, processor] of processors) {
    const accepted = processor.accepts.filter((type) => parseLayerType(type)?.encrypted);
    const foreign = processor.accepts.filter((type) => !type.endsWith("+encrypted"));
    const isDecoder = accepted.length > 0 || (PAYLOAD_IDS.includes(id) && foreign.length > 0);
    if (!isDecoder) continue;
    if (foreign.length > 0) {
      yield error(
        `${id} accepts ${foreign.join(", ")}, which is not encrypted: every such layer would be refused`,
        "accepts must list media types that end in +encrypted only",
      );
    }
    if (!PAYLOAD_IDS.includes(id)) {
      yield {
        severity: "warning",
        message: `the ID ${id} gets no payload from any containerd`,
        hint: `put its accepts under ${PAYLOAD_IDS.join(" or ")}`,
      };
    }
    yield* checkReturns(id, processor, accepted);
    yield* checkCommand(id, processor, searchPath);
  }
}

/** Each encrypted type by one processor: of several, containerd takes any. */
function* checkCoverage(processors: Processors): Generator<Finding> {
  const missing: string[] = [];
  for (const type of encryptedTypes()) {
    const ids = [...processors].filter(([, { accepts }]) => accepts.includes(type)).map(([id]) => id);
    if (ids.length > 1)
      yield error(`${type} is accepted by ${ids.join(" and ")}: containerd takes one at random`);
    if (ids.length === 0) missing.push(type);
  }
  const usual = missing.filter((type) => USUAL_TYPES.has(type));
  const hint = "see ctd-decoder config for processors that accept them all";
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
    yield error(`${id} returns ${JSON.stringify(returns)}, which is no type of a plain layer`);
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
  searchPath: string,
): Generator<Finding> {
  const origin = file === undefined ? "containerd's own default" : file;
  if (findExecutable(path, searchPath) === undefined) {
    yield error(
      `${id} runs ${JSON.stringify(path)} (${origin}), which is no executable${isAbsolute(path) ? "" : " on containerd's PATH"}`,
      INSTALL,
    );
  }
  if (basename(path) === "ctd-decoder") yield* checkFlags(id, args);
  const keys = flagValue(args, "decryption-keys-path");
  if (keys === undefined) {
    yield {
      severity: "warning",
      message: `${id} has no --decryption-keys-path: it has no keys but those that a client passes`,
    };
  } else if (!existsSync(keys)) {
    yield { severity: "warning", message: `${id}: the keys path ${keys} does not exist` };
  }
  const providers = variableValue(env, PROVIDER_VARIABLE);
  if (providers !== undefined && providers !== PROVIDER_CONFIG && !existsSync(providers))
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

function error(message: string, hint?: string): Finding {
  return { severity: "error", message, ...(hint !== undefined && { hint }) };
}
