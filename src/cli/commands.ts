import type { Command } from "./command.ts";
import { completionCommand } from "./commands/completion.ts";
import { CONFIG } from "./commands/config.ts";
import { DECRYPT } from "./commands/decrypt.ts";
import { DOCTOR } from "./commands/doctor.ts";
import { ENCRYPT } from "./commands/encrypt.ts";
import { INSPECT } from "./commands/inspect.ts";
import { INSTALL } from "./commands/install.ts";
import { KEYGEN } from "./commands/keygen.ts";
import { LAYER } from "./commands/layer.ts";
import { manCommand } from "./commands/man.ts";
import { NRI } from "./commands/nri.ts";
import { REWRAP } from "./commands/rewrap.ts";
import { SIGN } from "./commands/sign.ts";
import { TRUST_ATTEST } from "./commands/trust-attest.ts";
import { TRUST_BLOB, VERIFY_BLOB } from "./commands/trust-blob.ts";
import { TRUST_CHECK } from "./commands/trust-check.ts";
import { TRUST_AUDIT, TRUST_FETCH } from "./commands/trust-node.ts";
import { TRUST_EXPLAIN, TRUST_LINT } from "./commands/trust-policy.ts";
import { TRUST_SUMS } from "./commands/trust-sums.ts";
import { UNINSTALL } from "./commands/uninstall.ts";
import { VERIFY } from "./commands/verify.ts";
import type { CommandGroup } from "./help.ts";

/** In the order in which help shows them. */
export const COMMAND_GROUPS: readonly CommandGroup[] = [
  ["Commands for images", [ENCRYPT, INSPECT, VERIFY, DECRYPT, REWRAP, LAYER]],
  ["Commands for trust", [TRUST_CHECK, TRUST_BLOB, TRUST_SUMS, TRUST_ATTEST, SIGN, VERIFY_BLOB]],
  ["Commands for policies", [TRUST_EXPLAIN, TRUST_LINT, TRUST_FETCH, TRUST_AUDIT]],
  ["Commands for keys and nodes", [KEYGEN, INSTALL, UNINSTALL, DOCTOR, CONFIG, NRI]],
  ["Commands for shells", [completionCommand(() => COMMANDS), manCommand(() => COMMANDS)]],
];

export const COMMANDS: readonly Command[] = COMMAND_GROUPS.flatMap(([, commands]) => commands);
