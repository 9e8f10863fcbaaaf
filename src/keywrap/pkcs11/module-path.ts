import { readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { DecoderError } from "../../errors.ts";
import type { ModulePolicy } from "./module-policy.ts";
import type { Pkcs11Uri } from "./uri.ts";

/** What lies beside a shared library where developers work. */
const STATIC_LIBRARY = /\.l?a$/;

/**
 * The module that a URI asks for by `module-path` (a file, or a directory to look for `module-name` in) or by
 * `module-name` alone (RFC 7512 §2.4).
 * @returns its real path, without symlinks: what was checked is what gets loaded
 * @throws DecoderError PKCS11 when there is none, or a policy doesn't allow it
 */
export function findModule({ modulePath, moduleName }: Pkcs11Uri, policies: readonly ModulePolicy[]): string {
  let denial: DecoderError | undefined;
  for (const path of candidates(modulePath, moduleName, policies)) {
    const real = realFile(path);
    if (real === null) continue;
    const denying = policies.find((policy) => !allows(policy, path, real));
    if (denying === undefined) return real;
    denial ??= new DecoderError("PKCS11", `the module ${path} is not allowed by ${denying.origin}`);
  }
  throw denial ?? new DecoderError("PKCS11", `the module ${moduleName ?? modulePath} was not found`);
}

function candidates(
  modulePath: string | undefined,
  moduleName: string | undefined,
  policies: readonly ModulePolicy[],
): string[] {
  if (modulePath === undefined)
    return search(
      moduleName,
      policies.flatMap((policy) => policy.directories),
    );
  if (!isAbsolute(modulePath)) throw new DecoderError("PKCS11", "the URI's module-path is not absolute");
  return isDirectory(modulePath) ? search(moduleName, [modulePath]) : [modulePath];
}

/**
 * RFC 7512 §2.4: a name without prefix and suffix ("softhsm2" for libsofthsm2.so), of any case. The peers also take any
 * file with the name before a dot or the end; those come after the ones that bear it exactly.
 */
function search(moduleName: string | undefined, directories: readonly string[]): string[] {
  if (moduleName === undefined || moduleName === "")
    throw new DecoderError("PKCS11", "the URI names no module");
  const name = moduleName.toLowerCase();
  const exact: string[] = [];
  const similar: string[] = [];
  for (const directory of new Set(directories)) {
    for (const entry of entriesOf(directory)) {
      const file = entry.toLowerCase();
      const at = file.indexOf(name);
      const next = file[at + name.length];
      if (at < 0 || (next !== undefined && next !== ".") || STATIC_LIBRARY.test(file)) continue;
      const bearsIt = at === 0 || file.slice(0, at) === "lib";
      (bearsIt ? exact : similar).push(join(directory, entry));
    }
  }
  return [...exact, ...similar];
}

/**
 * Compares real paths, so that neither ".." nor a symlink elsewhere leads around the list. A symlink that lies in an
 * allowed directory was put there by whoever may put modules there, and counts (Debian's /usr/lib/softhsm/ is one).
 */
function allows(policy: ModulePolicy, path: string, real: string): boolean {
  return policy.allowed.some((allowed) => {
    if (!allowed.endsWith("/")) return realFile(allowed) === real;
    return realFile(join(allowed, basename(path))) === real || realDirectory(allowed) === dirname(real);
  });
}

function realFile(path: string): string | null {
  try {
    const real = realpathSync(path);
    return statSync(real).isFile() ? real : null;
  } catch {
    return null;
  }
}

function realDirectory(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** In lexical order, as the peers list a directory. */
function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}
