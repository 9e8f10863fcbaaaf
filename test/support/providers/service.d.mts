import type { ServerCredentials, sendUnaryData } from "@grpc/grpc-js";
import type { Vault } from "./vault.mjs";

export type Handler = (
  message: Buffer,
  callback: sendUnaryData<Buffer>,
  method: "WrapKey" | "UnWrapKey",
) => void;

export function serve(
  address: string,
  credentials: ServerCredentials,
  handler: Handler,
): Promise<{ readonly port: number; close(): void }>;
export function vaultHandler(vault: Vault): Handler;
export function frame(json: Uint8Array): Buffer;
