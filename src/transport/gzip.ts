import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { CompressionStreamZlib, setWasmExports, type ZlibExports } from "zlib-streams/zlib-streams.js";
import { inBlocks } from "../io/blocks.ts";
import { free } from "../io/free.ts";
import { IS_COMPILED } from "../process/runtime.ts";

/**
 * Size of the blocks that each become one gzip member; RFC 1952 §2.2: a file is a series of members. Members don't depend on
 * each other, so any number of threads gives the same bytes. On a folder of libraries, separate members added 0.02 % of size.
 */
const BLOCK_BYTES = 4 * 1024 * 1024;

/** Compresses on this thread. @throws what `chunks` throws */
export async function* gzip(chunks: AsyncIterable<Uint8Array>, level: number): AsyncGenerator<Uint8Array> {
  for await (const block of gzipBlocks(chunks)) yield await gzipMember(block, level);
}

/**
 * Compresses one block with zlib as WebAssembly: the same bytes on every machine and runtime, so that layers are
 * reproducible. The header has no name, no time, and Unix as the operating system.
 */
export async function gzipMember(block: Uint8Array, level: number): Promise<Uint8Array<ArrayBuffer>> {
  await loadZlib();
  const { readable, writable } = new CompressionStreamZlib("gzip", { level });
  const writing = feed(writable.getWriter(), block);
  writing.catch(() => undefined);
  const parts: Uint8Array[] = [];
  for await (const part of readable) parts.push(part);
  await writing;
  const member = joined(parts);
  for (const part of parts) free(part);
  return member;
}

/** All parts in memory of its own, which can be transferred to another thread. */
function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

async function feed(writer: WritableStreamDefaultWriter<Uint8Array>, block: Uint8Array): Promise<void> {
  await writer.write(block);
  await writer.close();
}

/** The same bytes in the blocks that become members: at least one, which may be empty. @param spare as for `inBlocks` */
export async function* gzipBlocks(
  chunks: AsyncIterable<Uint8Array>,
  spare: Uint8Array<ArrayBuffer>[] = [],
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let isEmpty = true;
  for await (const block of inBlocks(chunks, BLOCK_BYTES, spare)) {
    isEmpty = false;
    yield block;
  }
  if (isEmpty) yield new Uint8Array();
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

/** In the executable, Bun embeds the file and returns its path. Elsewhere the package provides the path. */
async function wasmPath(): Promise<string> {
  if (!IS_COMPILED) return createRequire(import.meta.url).resolve("zlib-streams/zlib-streams.wasm");
  const { default: path } = await import("zlib-streams/zlib-streams.wasm", { with: { type: "file" } });
  return path;
}
