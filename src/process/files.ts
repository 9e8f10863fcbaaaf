import type * as fs from "node:fs";

/** The functions of node:fs that a layer needs. */
type Files = Pick<
  typeof fs,
  | "closeSync"
  | "fstatSync"
  | "lstatSync"
  | "mkdirSync"
  | "openSync"
  | "readdirSync"
  | "readFileSync"
  | "readlinkSync"
  | "readSync"
  | "renameSync"
  | "statSync"
  | "unlinkSync"
  | "writeFileSync"
  | "writeSync"
>;

/** What node:fs of Bun is made of. Only `--expose-internals` gives access to it (scripts/compile-flags.ts). */
interface Binding extends Files {
  realpathNativeSync(path: string): string;
}

interface Runtime {
  getBuiltinModule(name: string): unknown;
  binding(name: "constants"): { readonly fs: typeof fs.constants };
}

const runtime = process as unknown as Runtime;
const binding = runtime.getBuiltinModule("internal/fs/binding") as Binding | undefined;
const node = binding === undefined ? process.getBuiltinModule("node:fs") : undefined;
// With this variable, `binding` writes a warning to stderr. --no-deprecation makes the property read-only.
if (binding !== undefined && process.env["NODE_PENDING_DEPRECATION"])
  Reflect.set(process, "noDeprecation", true);

/**
 * File functions with the behaviour of node:fs. The executable has the runtime's own: loading node:fs would add a tenth to the
 * time of a small layer. A runtime without them, such as Node.js, uses node:fs.
 */
export const files: Files = (binding ?? node) as Files;
export const constants: typeof fs.constants = node?.constants ?? runtime.binding("constants").fs;

/** Whether a path names something that can be looked up. Bun's own existsSync throws for a path that is too long. */
export function exists(path: string): boolean {
  try {
    files.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** realpath(3). @throws Error from the system */
export function realpath(path: string): string {
  return binding?.realpathNativeSync(path) ?? (node as typeof fs).realpathSync.native(path);
}
