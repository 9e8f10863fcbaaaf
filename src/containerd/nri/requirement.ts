import { type ContainerdConfig, isTable, type Table } from "../config.ts";
import type { ContainerdVersion } from "../version.ts";

/** Name that the plugin registers, and that `required_plugins` must list. */
export const NRI_NAME = "ctd-decoder";

const SECTION = "io.containerd.nri.v1.nri";
/** The first containerd 2.x whose NRI (0.10) has validators. */
const FIRST_WITH_VALIDATORS = 2;

/** containerd's settings for the NRI plugin. */
interface NriRequirement {
  /** Whether containerd starts no container without the plugin. */
  readonly isRequired: boolean;
  /** Annotation with which a Pod can opt out of the plugin. */
  readonly tolerated?: string;
}

export function nriRequirement({ plugins }: ContainerdConfig, version: ContainerdVersion): NriRequirement {
  const section = tableIn(plugins, SECTION);
  const {
    enable,
    required_plugins: required,
    tolerate_missing_plugins_annotation: tolerated,
  } = tableIn(section, "default_validator");
  const hasValidators = version.major > 2 || (version.major === 2 && version.minor >= FIRST_WITH_VALIDATORS);
  return {
    isRequired:
      hasValidators &&
      section["disable"] !== true &&
      enable === true &&
      Array.isArray(required) &&
      required.includes(NRI_NAME),
    ...(typeof tolerated === "string" && tolerated !== "" && { tolerated }),
  };
}

function tableIn(table: Table, name: string): Table {
  const value = table[name];
  return isTable(value) ? value : {};
}
