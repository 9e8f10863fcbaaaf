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
  timeoutMs: number,
  settings: SchemeSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  let answer: Uint8Array<ArrayBuffer> | undefined;
  try {
    answer = await transfer(provider, operation, request, timeoutMs, settings);
    return readAnswer(provider.name, operation, answer);
  } finally {
    answer?.fill(0);
    request.fill(0);
  }
}

async function transfer(
  provider: Provider,
  operation: Operation,
  request: Uint8Array,
  timeoutMs: number,
  settings: SchemeSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  if (provider.kind === "command") return await callCommand(provider, request, timeoutMs, settings);
  const { callGrpc } = await import("./grpc.ts");
  return await callGrpc(provider, operation, request, timeoutMs, settings);
}
