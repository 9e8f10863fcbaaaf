/** Proves from the bundler's own record that the start of a decoder call loads the decoder and nothing else. */

interface Import {
  readonly path: string;
  readonly kind: string;
  readonly external?: boolean;
}

/** The part of `bun build --metafile` that is read here (esbuild's format). Paths of inputs are relative to the build. */
export interface Metafile {
  readonly inputs: Readonly<Record<string, { readonly imports: readonly Import[] }>>;
  readonly outputs: Readonly<
    Record<
      string,
      {
        readonly bytes: number;
        readonly entryPoint?: string;
        readonly imports: readonly Import[];
        readonly inputs: Readonly<Record<string, { readonly bytesInOutput?: number }>>;
      }
    >
  >;
}

export interface HotPath {
  /** Sources, as paths below src/. */
  readonly modules: readonly string[];
  /** Size of the bundled code. */
  readonly bytes: number;
  /** Files in the executable. Code that is shared with another entry point of the build would be in one of its own. */
  readonly parts: number;
}

/** The start of a decoder call. It includes JWE, the scheme of nearly all images. */
const ENTRY = "src/main.ts";
/** Builtin modules that each call may load at its start. node:crypto alone would make a layer's a third longer. */
const BUILTINS = { layer: new Set<string>(), command: new Set(["fs", "path"]) };
const FORBIDDEN =
  /(^|\/)node_modules\/|src\/(cli|image|transport|registry|trust|tenants|node)\/|src\/keywrap\/(?!jwe\/)[^/]+\//;
/** What each command loads before it does its own work. */
const COMMAND_LINE = "src/cli/cli.ts";
const STATIC = "import-statement";

/** @throws Error that names the first module that a start must not load */
export function checkHotPath(metafile: Metafile): HotPath {
  const modules = new Set<string>();
  let bytes = 0;
  const parts = outputsFrom(ENTRY, metafile);
  for (const name of parts) {
    const output = metafile.outputs[name];
    bytes += output?.bytes ?? 0;
    for (const input of Object.keys(output?.inputs ?? {})) {
      if (FORBIDDEN.test(input))
        throw new Error(`${input} would be loaded for every layer: import() it where it is needed`);
      checkBuiltins(input, "layer", metafile);
      modules.add(input.slice(input.indexOf("src/") + "src/".length));
    }
  }
  return { modules: [...modules].sort(), bytes, parts: parts.size };
}

/** @throws Error that names the first module that loads more than a command's start may load */
export function checkCommandLine(metafile: Metafile): void {
  for (const name of outputsFrom(COMMAND_LINE, metafile)) {
    for (const input of Object.keys(metafile.outputs[name]?.inputs ?? {}))
      checkBuiltins(input, "command", metafile);
  }
}

function outputsFrom(entry: string, { outputs }: Metafile): Set<string> {
  const reached = new Set<string>();
  const start = Object.keys(outputs).find((name) => outputs[name]?.entryPoint?.endsWith(entry));
  if (start === undefined) throw new Error(`the build has no part for ${entry}`);
  const queue = [start];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (reached.has(name)) continue;
    reached.add(name);
    for (const { path, kind } of outputs[name]?.imports ?? [])
      if (kind === STATIC && path in outputs) queue.push(path);
  }
  return reached;
}

/** @param call what loads the input each time */
function checkBuiltins(input: string, call: keyof typeof BUILTINS, { inputs }: Metafile): void {
  for (const { path, kind, external } of inputs[input]?.imports ?? []) {
    const builtin = path.replace(/^node:/, "");
    if (external && kind === STATIC && !BUILTINS[call].has(builtin)) {
      throw new Error(`${input} loads node:${builtin} for every ${call}: import() it where it is needed`);
    }
  }
}
