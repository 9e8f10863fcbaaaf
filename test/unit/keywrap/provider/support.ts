import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Parameters } from "../../../../src/keys/keyset.ts";
import type { Attempt, SchemeSettings, UnwrapContext } from "../../../../src/keywrap/scheme.ts";

/** The options of a layer, as an encrypting tool hands them to a provider. */
export const OPTIONS = '{"symkey":"c2VjcmV0","digest":"sha256:00","cipheroptions":{"nonce":"bm9uY2U="}}';

export const COMMAND_PROVIDER = fileURLToPath(
  new URL("../../../support/providers/command.mjs", import.meta.url),
);

/** Settings with a provider configuration, written to the folder. */
export function settingsFor(
  folder: string,
  providers: object,
  changes: Partial<SchemeSettings> = {},
): SchemeSettings {
  const file = join(folder, `providers-${Object.keys(providers).join("-")}.json`);
  writeFileSync(file, JSON.stringify({ "key-providers": providers }));
  return {
    environment: { PATH: process.env["PATH"], OCICRYPT_KEYPROVIDER_CONFIG: file },
    providerTimeoutMs: 20_000,
    providerLegacyDc: false,
    verbose: false,
    ...changes,
  };
}

export interface TestContext extends UnwrapContext {
  readonly attempts: Attempt[];
  spent: number;
}

export function contextFor(
  name: string,
  settings: SchemeSettings,
  parameters: Parameters = new Map(),
): TestContext {
  return {
    keys: { keys: [], certificates: [], keyrings: [], tokenKeys: [], parameters, skipped: [] },
    settings,
    name,
    attempts: [],
    spent: 0,
    record(attempt) {
      this.attempts.push(attempt);
    },
    spend() {
      this.spent++;
    },
  };
}

/** The requests that a test provider logged. */
export function requestsIn(log: string): unknown[] {
  return readFileSync(log, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

export const base64 = (text: string) => Buffer.from(text).toString("base64");

/** A provider whose command is a shell script. */
export const script = (text: string) => ({ cmd: { path: "/bin/sh", args: ["-c", text] } });
