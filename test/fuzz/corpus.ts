import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

export const CORPUS = join(import.meta.dirname, "corpus");

/** The inputs in folders of the corpus; those that end in .gz are stored compressed. */
export function seedsOf(...folders: readonly string[]): Buffer[] {
  return folders.flatMap((folder) =>
    readdirSync(join(CORPUS, folder))
      .sort()
      .map((name) => {
        const bytes = readFileSync(join(CORPUS, folder, name));
        return name.endsWith(".gz") ? gunzipSync(bytes) : bytes;
      }),
  );
}

export function seed(path: string): Buffer {
  return readFileSync(join(CORPUS, path));
}
