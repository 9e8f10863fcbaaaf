import { readPipe } from "../io/pipe.ts";
import { answerVerifierCall } from "../trust/verifier.ts";

const STDIN = 0;

/**
 * Answers containerd's call to an image verifier.
 * @throws DecoderError UNTRUSTED, the refusal
 */
export async function runVerifier(args: readonly string[]): Promise<void> {
  const stdin = readPipe(STDIN, "standard input");
  const refusal = await answerVerifierCall({ args, stdin, environment: process.env });
  // Once the exit code is set, nothing is waited for: a name's look-up that hangs can't be stopped, and containerd kills a
  // verifier that outlives its time.
  setImmediate(() => process.exit());
  if (refusal !== undefined) throw refusal;
}
