/** Magic numbers (RFC 8878 §3.1.1, §3.1.2), little-endian. The low four bits of a skippable frame's are arbitrary. */
const FRAME = 0xfd2fb528;
const SKIPPABLE_FRAME = 0x184d2a50;
const MAGIC_BYTES = 4;
const SKIPPABLE_HEADER_BYTES = 8;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const RLE_BLOCK = 1;
/** RFC 8878 §3.1.1.1.1: two bits of the frame header's first byte give each field's size. */
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];

type Part = "frame" | "skippable frame" | "frame header" | "block" | "checksum";

/** Whether bytes begin a zstd frame or a skippable frame. */
export function beginsZstd(bytes: Uint8Array): boolean {
  if (bytes.length < MAGIC_BYTES) return false;
  const magic = new DataView(bytes.buffer, bytes.byteOffset, MAGIC_BYTES).getUint32(0, true);
  return magic === FRAME || isSkippable(magic);
}

/**
 * Follows zstd frames from block to block without decompressing them, and reports whether they are complete. Not every
 * runtime's decompressor notices truncated input.
 */
export class ZstdFrames {
  /** The part that comes next, and how many of its bytes are needed to find the part after it. */
  #part: Part = "frame";
  #needed = MAGIC_BYTES;
  #header = Buffer.alloc(0);
  /** Bytes of content before that part. */
  #skip = 0;
  #hasChecksum = false;

  /** Whether the data may end here. */
  get isWhole(): boolean {
    return this.#part === "frame" && this.#header.length === 0 && this.#skip === 0;
  }

  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const skipped = Math.min(this.#skip, bytes.length - at);
      this.#skip -= skipped;
      at += skipped;
      const taken = bytes.subarray(at, at + this.#needed - this.#header.length);
      this.#header = Buffer.concat([this.#header, taken]);
      at += taken.length;
      if (this.#header.length === this.#needed && this.#skip === 0) this.#read();
    }
  }

  #read(): void {
    const header = this.#header;
    switch (this.#part) {
      case "frame":
        return this.#readMagic(header.readUInt32LE());
      case "skippable frame":
        return this.#next("frame", MAGIC_BYTES, header.readUInt32LE(MAGIC_BYTES));
      case "frame header":
        return this.#readFrameHeader(header.readUInt8(MAGIC_BYTES));
      case "block":
        return this.#readBlockHeader(header.readUIntLE(0, BLOCK_HEADER_BYTES));
      case "checksum":
        return this.#next("frame", MAGIC_BYTES);
    }
  }

  /** Trailing bytes that are not a frame are left to the decompressor, which refuses or ignores them. */
  #readMagic(magic: number): void {
    if (magic === FRAME) this.#more("frame header", MAGIC_BYTES + 1);
    else if (isSkippable(magic)) this.#more("skippable frame", SKIPPABLE_HEADER_BYTES);
    else this.#next("frame", MAGIC_BYTES, Number.POSITIVE_INFINITY);
  }

  /** RFC 8878 §3.1.1.1: a single-segment frame has a content size in place of a window size. */
  #readFrameHeader(descriptor: number): void {
    const isSingleSegment = (descriptor & 0x20) !== 0;
    this.#hasChecksum = (descriptor & 0x04) !== 0;
    const contentSize = CONTENT_SIZE_BYTES[descriptor >> 6] ?? 0;
    const rest = isSingleSegment ? Math.max(contentSize, 1) : contentSize + 1;
    this.#next("block", BLOCK_HEADER_BYTES, rest + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0));
  }

  /** RFC 8878 §3.1.1.2: last-block flag, type and size. An RLE block stores a single byte. */
  #readBlockHeader(header: number): void {
    const size = ((header >> 1) & 3) === RLE_BLOCK ? 1 : header >> 3;
    if ((header & 1) === 0) this.#next("block", BLOCK_HEADER_BYTES, size);
    else if (this.#hasChecksum) this.#next("checksum", CHECKSUM_BYTES, size);
    else this.#next("frame", MAGIC_BYTES, size);
  }

  /** Keeps the bytes read so far and asks for more. */
  #more(part: Part, needed: number): void {
    this.#part = part;
    this.#needed = needed;
  }

  #next(part: Part, needed: number, skip = 0): void {
    this.#more(part, needed);
    this.#header = Buffer.alloc(0);
    this.#skip = skip;
  }
}

function isSkippable(magic: number): boolean {
  return (magic & 0xfffffff0) >>> 0 === SKIPPABLE_FRAME;
}
