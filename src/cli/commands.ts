import type { Command } from "./command.ts";
import { ENCRYPT } from "./encrypt-command.ts";

/** In the order in which help shows them. */
export const COMMANDS: readonly Command[] = [ENCRYPT];
