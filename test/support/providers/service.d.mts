import type { ServerCredentials, sendUnaryData } from "@grpc/grpc-js";

export type Handler = (message: Buffer, callback: sendUnaryData<Buffer>) => void;

export function serve(
  address: string,
  credentials: ServerCredentials,
  handler: Handler,
): Promise<{ readonly port: number; close(): void }>;
export function unframe(message: Buffer): Buffer;
export function frame(json: Uint8Array): Buffer;
