import { createHmac, timingSafeEqual } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import type { LayerOptions } from "./options.ts";

const CHUNK_BYTES = 1024 * 1024;

/** Whether a file holds the ciphertext that these options are for. False as well for one that can't be read. */
export function isAuthenticFile(path: string, { key, hmac }: LayerOptions): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(path, "r");
    const mac = createHmac("sha256", key.bytes);
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (;;) {
      const count = readSync(fd, buffer, 0, buffer.length, null);
      if (count === 0) return timingSafeEqual(mac.digest(), hmac);
      mac.update(buffer.subarray(0, count));
    }
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
