import { createHmac, timingSafeEqual } from "node:crypto";
import type { FileInput } from "../io/file-input.ts";
import type { LayerOptions } from "./options.ts";

const CHUNK_BYTES = 1024 * 1024;

/** Whether a file holds the ciphertext that these options are for. False as well for one that can't be read. */
export function isAuthenticFile(file: FileInput, { key, hmac }: LayerOptions): boolean {
  const mac = createHmac("sha256", key.bytes);
  const buffer = new Uint8Array(CHUNK_BYTES);
  const input = file.again();
  try {
    for (let count = input.read(buffer); count > 0; count = input.read(buffer))
      mac.update(buffer.subarray(0, count));
  } catch {
    return false;
  }
  return timingSafeEqual(mac.digest(), hmac);
}
