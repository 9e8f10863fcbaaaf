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

/** Watches every byte array that `set` or `slice` copies from or into, until the test ends. */
export function watchCopies(): {
  /** The arrays that hold these bytes now. */
  readonly holding: (bytes: Uint8Array) => Uint8Array[];
} {
  const seen = new Set<unknown>();
  const typedArray = Object.getPrototypeOf(Uint8Array.prototype);
  for (const method of ["set", "slice"] as const) {
    const copy = typedArray[method];
    const spy = vi.spyOn(typedArray, method).mockImplementation(function (this: unknown, ...args: unknown[]) {
      const result = copy.apply(this, args);
      seen.add(this).add(args[0]).add(result);
      return result;
    });
    onTestFinished(() => spy.mockRestore());
  }
  const arrays = () => [...seen].filter((it) => it instanceof Uint8Array);
  return {
    holding: (bytes) =>
      arrays().filter((it) => Buffer.from(it.buffer, it.byteOffset, it.length).includes(bytes)),
  };
}
