import { DecoderError } from "../errors.ts";
import { HELPER } from "../keys/token/module-protocol.ts";
import { LINGER } from "../process/linger.ts";

interface Helper {
  serve(): Promise<void>;
}

/** Name on the command line → the helper process's work. */
const HELPERS: ReadonlyMap<string | undefined, () => Promise<Helper>> = new Map([
  [HELPER, () => import("../keys/token/module-server.ts")],
  [LINGER, () => import("../process/linger.ts")],
]);

/** Runs this program as its own helper process. Helpers are not commands, and their command line is not parsed. */
export async function runHelper(name: string | undefined): Promise<void> {
  const load = HELPERS.get(name);
  if (load === undefined) throw new DecoderError("USAGE", "only ctd-decoder itself starts helper processes");
  const { serve } = await load();
  await serve();
}
