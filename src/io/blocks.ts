/**
 * The same bytes in blocks of one size; only the last may be shorter. Each block has memory of its own, which `freeInOrder`
 * can free.
 * @param spare blocks that may be overwritten. Reusing them avoids a page fault for every 4 KiB
 */
export async function* inBlocks(
  chunks: AsyncIterable<Uint8Array>,
  size: number,
  spare: Uint8Array<ArrayBuffer>[] = [],
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const newBlock = () => spare.pop() ?? new Uint8Array(size);
  let block = newBlock();
  let filled = 0;
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length; ) {
      const part = chunk.subarray(start, start + size - filled);
      block.set(part, filled);
      filled += part.length;
      start += part.length;
      if (filled < size) continue;
      yield block;
      block = newBlock();
      filled = 0;
    }
  }
  if (filled > 0) yield block.slice(0, filled);
}
