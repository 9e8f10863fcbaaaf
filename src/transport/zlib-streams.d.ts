/** The part of WebAssembly's interface that is used here; neither Node's types nor ECMAScript's have it. */
declare namespace WebAssembly {
  type Memory = { readonly buffer: ArrayBuffer };
  function instantiate(bytes: Uint8Array): Promise<{ readonly instance: { readonly exports: object } }>;
}

declare module "zlib-streams/zlib-streams.js" {
  export interface ZlibExports {
    readonly memory: WebAssembly.Memory;
    readonly malloc: (bytes: number) => number;
    readonly free: (address: number) => void;
    readonly _initialize: () => void;
  }
  export function setWasmExports(exports: ZlibExports): void;
  export class CompressionStreamZlib {
    constructor(format: "gzip", options: { level: number });
    readonly readable: ReadableStream<Uint8Array>;
    readonly writable: WritableStream<Uint8Array>;
  }
}

declare module "zlib-streams/zlib-streams.wasm" {
  const path: string;
  export default path;
}
