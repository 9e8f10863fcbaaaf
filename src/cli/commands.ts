import type { Command } from "./command.ts";
import { COMPLETION } from "./commands/completion.ts";
import { CONFIG } from "./commands/config.ts";
import { DECRYPT } from "./commands/decrypt.ts";
import { DOCTOR } from "./commands/doctor.ts";
import { ENCRYPT } from "./commands/encrypt.ts";
import { INSPECT } from "./commands/inspect.ts";
import { KEYGEN } from "./commands/keygen.ts";
import { LAYER } from "./commands/layer.ts";
import { MAN } from "./commands/man.ts";
import { REWRAP } from "./commands/rewrap.ts";
import { VERIFY } from "./commands/verify.ts";

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
