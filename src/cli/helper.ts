import { DecoderError } from "../errors.ts";
import { HELPERS } from "../keywrap/schemes.ts";

/** This program as its own helper process: no command for people, and without a command line to parse. */
export async function runHelper(name: string | undefined): Promise<void> {
  const load = HELPERS.get(name ?? "");
  if (load === undefined)
    throw new DecoderError("USAGE", "helper processes are started by ctd-decoder itself");
  const { serve } = await load();
  await serve();
}
