import { isObject } from "../../encoding/json.ts";
import { parseStrictJson } from "../../encoding/strict-json.ts";
import { DecoderError, describeSystemError } from "../../errors.ts";
import { readSmallFile } from "../../io/file.ts";
import * as LIMITS from "../../system-limits.ts";
import { markHint } from "../byte-order-mark.ts";
import { type ContainersSettings, readContainersPolicy } from "./containers-policy.ts";
import type { AdmissionSettings } from "./kubewarden.ts";
import { CLUSTER_IMAGE_POLICY, type Policy } from "./policy.ts";

/** What a policy file leaves open. */
export interface PolicySettings extends ContainersSettings, AdmissionSettings {}

export interface LoadedPolicy {
  readonly policy: Policy;
  readonly bytes: Uint8Array;
}

/** Reads a policy of any known format, which its fields identify. @throws DecoderError CONFIG, LIMIT */
export async function loadPolicy(path: string, settings: PolicySettings): Promise<LoadedPolicy> {
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(path, LIMITS.policyBytes);
  } catch (cause) {
    throw new DecoderError("CONFIG", `can't read the policy ${path}: ${describeSystemError(cause)}`, {
      cause,
    });
  }
  return { policy: await parsePolicy(bytes, `policy ${path}`, settings), bytes };
}

/** @param where `policy /etc/containers/policy.json`. @throws DecoderError CONFIG, LIMIT */
export async function parsePolicy(
  bytes: Uint8Array,
  where: string,
  settings: PolicySettings,
): Promise<Policy> {
  const values = await parseValues(bytes, where);
  const [value] = values;
  if (values.length > 0 && values.every(isClusterImagePolicy)) {
    const { readClusterImagePolicies } = await import("./cluster-image-policy.ts");
    return readClusterImagePolicies(values, where, settings);
  }
  if (values.length !== 1) throw new DecoderError("CONFIG", `${where}: it is not one document`);
  if (isObject(value) && Object.hasOwn(value, "signatures")) {
    const { readKubewardenSettings } = await import("./kubewarden.ts");
    return readKubewardenSettings(value, where, settings);
  }
  if (!isJson(bytes)) {
    const hint = markHint(bytes);
    throw new DecoderError("CONFIG", `${where}: its format is not known`, hint === undefined ? {} : { hint });
  }
  return readContainersPolicy(value, where, settings);
}

/** JSON is YAML as well, but only JSON's own reader is as strict as containers/image. */
async function parseValues(bytes: Uint8Array, where: string): Promise<readonly unknown[]> {
  try {
    if (isJson(bytes)) return [parseStrictJson(bytes)];
    return (await import("../../encoding/yaml.ts")).parseYaml(bytes);
  } catch (error) {
    if (error instanceof SyntaxError)
      throw new DecoderError("CONFIG", `${where} can't be read: ${error.message}`);
    throw error;
  }
}

/** Policies in YAML begin with a field's name, a comment or `---`. */
function isJson(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes).toString("latin1").trimStart();
  return /^(?:[{["0-9]|-(?!--)|(?:true|false|null)$)/.test(head) || head === "";
}

function isClusterImagePolicy(value: unknown): boolean {
  return isObject(value) && value["kind"] === CLUSTER_IMAGE_POLICY;
}
