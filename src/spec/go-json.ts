/** Reading JSON as Go's encoding/json does: the peers' files and messages rely on it. */

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value of a struct's field: names match whatever their case, and the last one wins. */
export function goField(object: JsonObject, name: string): unknown {
  let value: unknown;
  const wanted = name.toLowerCase();
  for (const key of Object.keys(object)) {
    if (key === name || key.toLowerCase() === wanted) value = object[key];
  }
  return value;
}

/** The object that a JSON text holds, or null. Never the parser's message: it quotes its input, which may be secret. */
export function parseJsonObject(bytes: Uint8Array): JsonObject | null {
  try {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
