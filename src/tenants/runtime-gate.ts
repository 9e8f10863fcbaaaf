import { appendFileSync } from "node:fs";
import { basename, join } from "node:path";
import { isObject, parseJsonObject } from "../encoding/json.ts";
import { DecoderError, describeSystemError } from "../errors.ts";
import { readSmallFile } from "../io/file.ts";
import type { SchemeSettings } from "../keywrap/scheme.ts";
import * as LIMITS from "../limits.ts";
import * as SYSTEM_LIMITS from "../system-limits.ts";
import { printable } from "../text.ts";
import type { ContainerRequest } from "./gate.ts";
import { guard } from "./guard.ts";
import type { TenantSettings } from "./settings.ts";

/** What runc was called with, as far as the gate reads it. */
interface RuntimeCall {
  /** Folder with the bundle's config.json. */
  readonly bundle: string;
  readonly containerId: string;
  /** containerd's namespace: the last part of runc's --root. */
  readonly namespace: string;
  /** File that containerd reads runc's errors from. */
  readonly log?: string;
}

/** runc's commands that start a container. Every other call is passed on without a look. */
const STARTING = new Set(["create", "run", "restore"]);
/** runc's flags that take a value: global ones, and those of the commands above. */
const VALUED = new Set(
  [
    "root",
    "log",
    "log-format",
    "criu",
    "rootless",
    "bundle",
    "b",
    "console-socket",
    "pid-file",
    "preserve-fds",
  ].concat([
    "pidfd-socket",
    "image-path",
    "work-path",
    "page-server",
    "manage-cgroups-mode",
    "empty-ns",
    "lsm-profile",
    "lsm-mount-context",
  ]),
);
const MESSAGE_CHARS = 512;
/** containerd's CRI writes these into every bundle (pkg/cri/annotations), so a Pod's author can't. */
const POD = {
  namespace: "io.kubernetes.cri.sandbox-namespace",
  name: "io.kubernetes.cri.sandbox-name",
  uid: "io.kubernetes.cri.sandbox-uid",
} as const;

/** @returns undefined for a call that starts no container. @throws DecoderError TENANTS for one that can't be understood */
export function parseRuntimeCall(args: readonly string[], workingDirectory: string): RuntimeCall | undefined {
  const flags = new Map<string, string>();
  const words: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const [, name, value] = /^--?([a-z][a-z0-9-]*)(?:=([\s\S]*))?$/.exec(arg) ?? [];
    if (name === undefined) words.push(arg);
    else if (value !== undefined) flags.set(name, value);
    else if (VALUED.has(name)) flags.set(name, args[++i] ?? "");
  }
  const [command, containerId, ...more] = words;
  if (command === undefined || !STARTING.has(command)) {
    // A flag that is not known here could have hidden the command behind its value.
    if (words.some((word) => STARTING.has(word))) throw misunderstood();
    return undefined;
  }
  if (containerId === undefined || more.length > 0) throw misunderstood();
  const log = flags.get("log");
  return {
    bundle: flags.get("bundle") ?? flags.get("b") ?? workingDirectory,
    containerId,
    namespace: basename(flags.get("root") ?? ""),
    ...(log !== undefined && log !== "" && { log }),
  };
}

/** Decides about the container of a call. @throws DecoderError when it must not start */
export async function guardRuntime(
  call: RuntimeCall,
  settings: TenantSettings,
  schemes: SchemeSettings,
): Promise<void> {
  await guard(readBundle(call), settings, schemes);
}

/** Tells containerd why runc was not started: it reads runc's own log (JSON lines with level, msg and time). */
export function writeRuntimeLog({ log }: RuntimeCall, error: unknown): void {
  if (log === undefined) return;
  const msg =
    error instanceof DecoderError
      ? `ctd-decoder: ${printable(error.message, MESSAGE_CHARS)}`
      : "ctd-decoder: internal error";
  try {
    appendFileSync(log, `${JSON.stringify({ level: "error", msg, time: new Date().toISOString() })}\n`);
  } catch {
    // containerd then shows only the exit status. The container is still refused.
  }
}

/** OCI runtime-spec config.json: annotations and the sources of mounts. */
function readBundle({ bundle, containerId, namespace }: RuntimeCall): ContainerRequest {
  const path = join(bundle, "config.json");
  let config: ReturnType<typeof parseJsonObject>;
  try {
    config = parseJsonObject(readSmallFile(path, LIMITS.manifestBytes));
  } catch (error) {
    throw new DecoderError("TENANTS", `can't read ${path}: ${describeSystemError(error)}`, { cause: error });
  }
  const annotations = isObject(config?.["annotations"]) ? config["annotations"] : {};
  const mounts = Array.isArray(config?.["mounts"]) ? config["mounts"].filter(isObject) : [];
  if (config === null || mounts.length > SYSTEM_LIMITS.containerMounts)
    throw new DecoderError("TENANTS", `${path} can't be understood`);
  const word = (name: string) => (typeof annotations[name] === "string" ? annotations[name] : "");
  return {
    namespace,
    containerId,
    mounts: mounts.flatMap((it) => (typeof it["source"] === "string" ? it["source"] : [])),
    pod: { namespace: word(POD.namespace), name: word(POD.name), uid: word(POD.uid) },
  };
}

function misunderstood(): DecoderError {
  return new DecoderError(
    "TENANTS",
    "the container runtime was called in a way that the gate does not understand",
  );
}
