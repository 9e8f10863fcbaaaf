import type * as fs from "node:fs";

/** The functions of node:fs that a layer needs. */
type Files = Pick<
  typeof fs,
  | "closeSync"
  | "existsSync"
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
// With that variable, `binding` would write a warning to stderr. --no-deprecation makes the property read-only.
if (binding !== undefined && process.env["NODE_PENDING_DEPRECATION"])
  Reflect.set(process, "noDeprecation", true);

/**
 * File functions, with the behaviour of node:fs, but existsSync throws for a path that is too long. In the
 * executable they are the runtime's own, which are loaded with it. node:fs would add a tenth to the time of a small layer. A
 * runtime that lacks them, as Node.js, has those of node:fs.
 */
export const files: Files = (binding ?? node) as Files;
export const constants: typeof fs.constants = node?.constants ?? runtime.binding("constants").fs;

/** realpath(3). @throws Error from the system */
export function realpath(path: string): string {
  return binding?.realpathNativeSync(path) ?? (node as typeof fs).realpathSync.native(path);
}
