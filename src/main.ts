import { decode, MEDIA_TYPE_VARIABLE } from "./decoder/decoder.ts";
import { parseDecoderFlags } from "./decoder/flags.ts";
import { DecoderError } from "./errors.ts";
import { conclude, concludeAsCommand } from "./exit.ts";
import { Input } from "./io/input.ts";
import { Output } from "./io/output.ts";
import {
  CHUNK_WORKER,
  HELPER_COMMAND,
  IS_COMPILED,
  IS_THREAD,
  keepOutOfCoreDumps,
  refuseSteering,
} from "./process/runtime.ts";

const STDIN = 0;
/** A flag of containerd's call to an image verifier. The decoder and the commands have no such flag. */
const VERIFIER_FLAG = "-name";
/** First argument of a call by the runtime entry (deploy/runc-gate). runc's own arguments follow. */
const RUNTIME_GATE_COMMAND = "runtime-gate";
const HELP_OR_VERSION = ["-h", "--h", "-help", "--help", "-version", "--version"];

/** Everything but a decoder call lives behind an import: each layer pays at start for what stands above. */
async function main(args: readonly string[]): Promise<void> {
  keepOutOfCoreDumps();
  if (IS_COMPILED) refuseSteering(process.env);
  const [first = "-"] = args;
  const isCommand = !first.startsWith("-");
  // Before --help and --version, whose exit code 0 would accept an image. A later containerd may put flags before the name.
  if (!isCommand && args.includes(VERIFIER_FLAG)) {
    const { runVerifier } = await import("./cli/verifier.ts");
    return runVerifier(args);
  }
  if (first === HELPER_COMMAND) {
    const { runHelper } = await import("./cli/helper.ts");
    return runHelper(args[1]);
  }
  if (first === RUNTIME_GATE_COMMAND) {
    const { runRuntimeGate } = await import("./cli/runtime-gate.ts");
    return runRuntimeGate(args.slice(1));
  }
  if (isCommand || asksForHelp(args)) {
    return runCommand(args);
  }
  return decodeLayer(args).catch(async (error) => {
    if (process.env[MEDIA_TYPE_VARIABLE]) (await import("./process/linger.ts")).startLingering();
    return explain(error, args);
  });
}

function asksForHelp(args: readonly string[]): boolean {
  for (const arg of args) if (HELP_OR_VERSION.includes(arg)) return true;
  return false;
}

async function runCommand(args: readonly string[]): Promise<void> {
  const { layOutError, run } = await import("./cli/cli.ts");
  concludeAsCommand(layOutError);
  return run(args);
}

async function decodeLayer(args: readonly string[]): Promise<void> {
  const options = parseDecoderFlags(args);
  const [input, output] = [new Input(STDIN, "standard input"), new Output(1, "standard output")];
  return decode(options, process.env, input, output);
}

/** A person who starts the program by hand gets help, rather than advice about containerd. */
async function explain(error: unknown, args: readonly string[]): Promise<void> {
  if (error instanceof DecoderError && error.code === "USAGE")
    throw (await import("./cli/cli.ts")).wrongUsage(error, args);
  const isBare = error instanceof DecoderError && error.code === "NO_PAYLOAD";
  if (!isBare || !(await import("node:tty")).isatty(STDIN)) throw error;
  if (args.length === 0) return runCommand(["--help"]);
  const { noLayer } = await import("./cli/cli.ts");
  throw noLayer();
}

/** The code of a thread that the executable started. */
function runThread(code: string | undefined): Promise<unknown> {
  return code === CHUNK_WORKER ? import("./cipher/chunk-worker.ts") : import("./image/layer-worker.ts");
}

const args = process.argv.slice(2);
if (IS_THREAD) void runThread(args[0]);
else conclude(() => main(args));
