import type { ConfiguredProcessor, ContainerdConfig } from "../containerd/config.ts";
import {
  decoderProcessors,
  flagValue,
  GZIP_ID,
  KEYS_PATH,
  PROVIDER_CONFIG,
  PROVIDER_VARIABLE,
  type StreamProcessor,
  TAR_ID,
  variableValue,
} from "../containerd/stream-processors.ts";
import { DecoderError } from "../errors.ts";
import { argsOf, isDecoderPath } from "./check-processors.ts";
import type { Finding } from "./finding.ts";

/** The stream processors that an installation configures, given what is configured before. */
export interface WantedProcessors {
  readonly processors: ReadonlyMap<string, StreamProcessor>;
  /** Processors of other IDs that accept the same types, and what is left of them. */
  readonly reduced: ReadonlyMap<string, StreamProcessor>;
  /** The folder or file of private keys that the processors name. */
  readonly keysPath: string;
  readonly findings: readonly Finding[];
}

interface ProcessorOptions {
  /** Path of the program on the node. */
  readonly program: string;
  /** Programs of earlier installations, which may have any name. */
  readonly earlierPrograms: readonly string[];
  /** Flags with a value that every processor's args must have. */
  readonly flags: ReadonlyMap<string, string>;
}

/** @throws DecoderError CONFIG if another program's processor accepts an encrypted type */
export function wantedProcessors(
  { processors: configured }: ContainerdConfig,
  { program, earlierPrograms, flags }: ProcessorOptions,
): WantedProcessors {
  const command = { path: program, keysPath: KEYS_PATH, providerConfig: PROVIDER_CONFIG };
  const programs = [program, ...earlierPrograms];
  const kept = (id: string) => keptOf(configured.get(id), programs);
  const returnsTar = argsOf(kept(TAR_ID))?.release.returns === "tar";
  const processors = new Map<string, StreamProcessor>();
  const findings: Finding[] = [];
  for (const [id, fresh] of decoderProcessors(command, returnsTar)) {
    const earlier = configured.get(id);
    processors.set(id, withFlags(withAdditions(fresh, kept(id)), flags));
    if (earlier?.file === undefined || kept(id) !== undefined) continue;
    findings.push({
      severity: "warning",
      message: `${id} in ${earlier.file} runs ${JSON.stringify(earlier.path)} with args or env that are not kept: ${earlier.args.join(" ")}`,
    });
  }
  const keysPath = flagValue(processors.get(GZIP_ID)?.args ?? [], "decryption-keys-path") ?? KEYS_PATH;
  return { processors, reduced: reduce(configured, processors, programs), keysPath, findings };
}

/** A processor of an operator whose args and env stay: it runs a decoder, Go's or ours, and its args are right. */
function keptOf(
  processor: ConfiguredProcessor | undefined,
  programs: readonly string[],
): StreamProcessor | undefined {
  if (processor?.file === undefined || !isDecoder(processor, programs)) return undefined;
  return argsOf(processor) === undefined ? undefined : processor;
}

/** @param programs paths at which installations have put the decoder */
function isDecoder({ path }: StreamProcessor, programs: readonly string[]): boolean {
  return isDecoderPath(path) || programs.includes(path);
}

function withAdditions(fresh: StreamProcessor, earlier: StreamProcessor | undefined): StreamProcessor {
  if (earlier === undefined) return fresh;
  const hasKeys = flagValue(earlier.args, "decryption-keys-path") !== undefined;
  const hasProviders = variableValue(earlier.env, PROVIDER_VARIABLE) !== undefined;
  return {
    ...fresh,
    args: hasKeys ? earlier.args : [...fresh.args, ...earlier.args],
    env: hasProviders ? earlier.env : [...fresh.env, ...earlier.env],
  };
}

/** A flag that is there with another value is repeated, since the last one counts. */
function withFlags(processor: StreamProcessor, flags: ReadonlyMap<string, string>): StreamProcessor {
  const missing = [...flags].filter(([name, value]) => flagValue(processor.args, name) !== value);
  return {
    ...processor,
    args: [...processor.args, ...missing.flatMap(([name, value]) => [`--${name}`, value])],
  };
}

/** containerd picks one of several processors for a type at random: only one may accept it. */
function reduce(
  configured: ContainerdConfig["processors"],
  wanted: ReadonlyMap<string, StreamProcessor>,
  programs: readonly string[],
): Map<string, StreamProcessor> {
  const types = new Set([...wanted.values()].flatMap(({ accepts }) => accepts));
  const reduced = new Map<string, StreamProcessor>();
  for (const [id, { file, ...processor }] of configured) {
    const shared = wanted.has(id) ? [] : processor.accepts.filter((type) => types.has(type));
    if (shared.length === 0) continue;
    if (!isDecoder(processor, programs)) {
      throw new DecoderError(
        "CONFIG",
        `${id} in ${file} runs ${JSON.stringify(processor.path)} for ${shared.join(", ")}`,
        { hint: "two processors must not accept one type: remove these types from its accepts first" },
      );
    }
    reduced.set(id, { ...processor, accepts: processor.accepts.filter((type) => !types.has(type)) });
  }
  return reduced;
}
