import * as LIMITS from "../limits.ts";
import { SETTINGS_FILE } from "../tenants/places.ts";
import { guardRuntime, parseRuntimeCall, writeRuntimeLog } from "../tenants/runtime-gate.ts";
import { readSettings } from "../tenants/settings.ts";

const SETTINGS_FLAG = "--settings=";

/**
 * Decides whether runc may be started with these arguments. Returning means yes.
 * @param args runc's arguments, after an optional `--settings=FILE`
 * @throws DecoderError, which ends the program with exit code 1: the entry then does not start runc
 */
export async function runRuntimeGate(args: readonly string[]): Promise<void> {
  const named = args[0]?.startsWith(SETTINGS_FLAG) ? args[0].slice(SETTINGS_FLAG.length) : undefined;
  const call = parseRuntimeCall(named === undefined ? args : args.slice(1), process.cwd());
  if (call === undefined) return;
  try {
    await guardRuntime(call, readSettings(named ?? SETTINGS_FILE), {
      environment: process.env,
      providerTimeoutMs: LIMITS.providerTimeoutMs,
      providerLegacyDc: false,
      verbose: false,
    });
  } catch (error) {
    writeRuntimeLog(call, error);
    throw error;
  }
}
