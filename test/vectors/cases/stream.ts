import { flipBit, plainBytes } from "../../support/layer.ts";
import type { Case, Json } from "../build.ts";

const forged = "AUTHENTICATION";
const sizeless = (it: Json) => Object.fromEntries(Object.entries(it).filter(([name]) => name !== "size"));
const stream = ["--release=stream"];
const spool = ["--spool-memory=64"];

/** Each fault under each way of release: in memory, through a temporary file, and streaming. */
const WAYS = [
  ["", []],
  ["-spooled", spool],
  ["-stream", [...stream, ...spool]],
] as const;

const FAULTS: Readonly<Record<string, Omit<Case, "args">>> = {
  "layer-ok": { about: "a layer of 5,000 bytes", expect: "ok" },
  "layer-first-bit": {
    about: "the layer's first bit changed",
    expect: forged,
    layer: (it) => flipBit(it, 0, 7),
  },
  "layer-last-bit": {
    about: "the layer's last bit changed",
    expect: forged,
    layer: (it) => flipBit(it, it.length - 1, 0),
  },
  "layer-middle-bit": {
    about: "a bit of the layer's middle changed",
    expect: forged,
    layer: (it) => flipBit(it, 2500),
  },
  "layer-cut-byte": {
    about: "the layer's last byte is missing",
    expect: forged,
    layer: (it) => it.subarray(0, -1),
  },
  "layer-cut-half": {
    about: "half of the layer is missing",
    expect: forged,
    layer: (it) => it.subarray(0, 2500),
  },
  "layer-cut-all": { about: "all of the layer is missing", expect: forged, layer: () => Buffer.alloc(0) },
  "layer-byte-more": {
    about: "a byte behind the layer",
    expect: "SIZE_MISMATCH",
    layer: (it) => Buffer.concat([it, Buffer.of(0)]),
  },
  "layer-byte-more-sizeless": {
    about: "a byte behind the layer, and a descriptor without a size",
    expect: forged,
    layer: (it) => Buffer.concat([it, Buffer.of(0)]),
    descriptor: sizeless,
  },
  "layer-twice": {
    about: "the layer twice",
    expect: "SIZE_MISMATCH",
    layer: (it) => Buffer.concat([it, it]),
  },
  "layer-blocks-swapped": {
    about: "two blocks exchanged",
    expect: forged,
    layer: (it) => Buffer.concat([it.subarray(16, 32), it.subarray(0, 16), it.subarray(32)]),
  },
  "layer-plaintext": { about: "the plaintext itself", expect: forged, layer: () => plainBytes(5000) },
};

export const STREAM_CASES: Readonly<Record<string, Case>> = {
  ...Object.fromEntries(
    Object.entries(FAULTS).flatMap(([name, fault]) =>
      WAYS.map(([suffix, args]) => [`${name}${suffix}`, { plaintext: plainBytes(5000), ...fault, args }]),
    ),
  ),
  "layer-0-bytes": { about: "a layer of no bytes", expect: "ok", plaintext: Buffer.alloc(0) },
  "layer-0-bytes-forged": {
    about: "a byte in place of a layer of no bytes",
    expect: forged,
    plaintext: Buffer.alloc(0),
    layer: () => Buffer.of(0),
  },
  "layer-1-byte": { about: "a layer of one byte", expect: "ok", plaintext: plainBytes(1) },
  "layer-16-bytes": { about: "a layer of one block", expect: "ok", plaintext: plainBytes(16) },
};
