import { onTestFinished, vi } from "vitest";
import { Secret } from "../../src/secret.ts";

/** Watches every secret that is read from now on, until the test ends. */
export function watchSecrets(): { readonly left: () => Uint8Array[] } {
  const seen = new Set<Uint8Array>();
  const getter = Object.getOwnPropertyDescriptor(Secret.prototype, "bytes")?.get;
  const spy = vi.spyOn(Secret.prototype, "bytes", "get").mockImplementation(function (this: Secret) {
    const bytes = getter?.call(this);
    seen.add(bytes);
    return bytes;
  });
  onTestFinished(() => spy.mockRestore());
  return { left: () => [...seen].filter((bytes) => bytes.some((byte) => byte !== 0)) };
}
