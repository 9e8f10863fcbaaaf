import type { SchemeSettings } from "../scheme.ts";
import { callCommand } from "./command.ts";
import type { Provider } from "./configuration.ts";
import { type Operation, readAnswer } from "./messages.ts";

/**
 * Sends a request, which is zeroed, and returns the bytes of the answer.
 * @throws DecoderError PROVIDER when the provider fails, answers late, too much, or with something else
 */
export async function callProvider(
  provider: Provider,
  operation: Operation,
  request: Uint8Array,
  settings: SchemeSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  let answer: Uint8Array<ArrayBuffer> | undefined;
  try {
    if (provider.kind === "command") answer = await callCommand(provider, request, settings);
    else {
      const { callGrpc } = await import("./grpc.ts");
      answer = await callGrpc(provider, operation, request, settings);
    }
    return readAnswer(provider.name, operation, answer);
  } finally {
    answer?.fill(0);
    request.fill(0);
  }
}
