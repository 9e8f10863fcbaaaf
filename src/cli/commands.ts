import type { Command } from "./command.ts";
import { COMPLETION } from "./completion-command.ts";
import { CONFIG } from "./config-command.ts";
import { DECRYPT } from "./decrypt-command.ts";
import { DOCTOR } from "./doctor-command.ts";
import { ENCRYPT } from "./encrypt-command.ts";
import { INSPECT } from "./inspect-command.ts";
import { KEYGEN } from "./keygen-command.ts";
import { LAYER } from "./layer-command.ts";
import { MAN } from "./man-command.ts";
import { REWRAP } from "./rewrap-command.ts";
import { VERIFY } from "./verify-command.ts";

/** In the order in which help shows them. */
export const COMMANDS: readonly Command[] = [
  ENCRYPT,
  DECRYPT,
  REWRAP,
  INSPECT,
  VERIFY,
  LAYER,
  KEYGEN,
  CONFIG,
  DOCTOR,
  COMPLETION,
  MAN,
];
