import { DecoderError } from "../errors.ts";
import { HELPERS } from "../keywrap/schemes.ts";

/** Runs this program as its own helper process, with a PKCS#11 module for example. */
export async function runHelper(name: string | undefined): Promise<void> {
  const load = HELPERS.get(name ?? "");
  if (load === undefined) throw new DecoderError("USAGE", "only ctd-decoder itself starts helper processes");
  const { serve } = await load();
  await serve();
}
