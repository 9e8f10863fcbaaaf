import { readConfigText } from "../containerd/config.ts";
import type { Distribution } from "./distribution.ts";
import type { NodeRoot } from "./node-root.ts";
import { type ConfigPlan, type PlanOptions, planDropIn, planFile } from "./plan-file.ts";
import { planRendered } from "./plan-template.ts";

/** @throws DecoderError CONFIG for a configuration that is wrong already, or cannot be edited safely */
export function planConfig(node: NodeRoot, options: PlanOptions): ConfigPlan {
  const { isRendered, dropIns } = options.distribution;
  if (isRendered) return planRendered(node, options);
  return dropIns !== undefined && isManaged(node, options.distribution)
    ? planDropIn(node, dropIns, options)
    : planFile(node, options);
}

/** An operator who takes the file over removes this line. */
const MANAGED_BY_K0S = "# k0s_managed=true\n";

function isManaged(node: NodeRoot, { configFile }: Distribution): boolean {
  return !node.exists(configFile) || readConfigText(configFile, node).startsWith(MANAGED_BY_K0S);
}
