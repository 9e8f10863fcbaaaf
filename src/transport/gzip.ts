import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { CompressionStreamZlib, setWasmExports, type ZlibExports } from "zlib-streams/zlib-streams.js";
import { IS_COMPILED } from "../process/runtime.ts";

/** Tar gives a chunk for every header and file: gathered, since each costs the stream below as much as a large one. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Compresses with zlib as WebAssembly: the same bytes on every machine and runtime, so that layers are reproducible. The
 * header has no name, no time, and Unix as the operating system.
 */
export async function* gzip(chunks: AsyncIterable<Uint8Array>, level: number): AsyncGenerator<Uint8Array> {
  await loadZlib();
  const { readable, writable } = new CompressionStreamZlib("gzip", { level });
  const writer = writable.getWriter();
  const writing = feed(writer, chunks);
  writing.catch((error) => writer.abort(error).catch(() => undefined));
  yield* readable;
  await writing;
}

async function feed(
  writer: WritableStreamDefaultWriter<Uint8Array>,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of sliced(chunks)) {
    await writer.ready;
    await writer.write(chunk);
  }
  await writer.close();
}

/** The same bytes in chunks of one size, the last one aside. */
async function* sliced(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let buffer = new Uint8Array(CHUNK_BYTES);
  let filled = 0;
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; ) {
      const part = chunk.subarray(start, start + CHUNK_BYTES - filled);
      buffer.set(part, filled);
      filled += part.length;
      start += part.length;
      if (filled < CHUNK_BYTES) continue;
      yield buffer;
      buffer = new Uint8Array(CHUNK_BYTES);
      filled = 0;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}

let loading: Promise<void> | undefined;

function loadZlib(): Promise<void> {
  loading ??= instantiate();
  return loading;
}

async function instantiate(): Promise<void> {
  const { instance } = await WebAssembly.instantiate(readFileSync(await wasmPath()));
  const exports = instance.exports as unknown as ZlibExports;
  exports._initialize();
  setWasmExports(exports);
}

/** Bun embeds the file in the executable and gives its path; elsewhere it is found by the package. */
async function wasmPath(): Promise<string> {
  if (!IS_COMPILED) return createRequire(import.meta.url).resolve("zlib-streams/zlib-streams.wasm");
  const { default: path } = await import("zlib-streams/zlib-streams.wasm", { with: { type: "file" } });
  return path;
}
