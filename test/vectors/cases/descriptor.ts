import { type Annotations, type Case, type Json, JWE, PGP, PKCS7, PUBOPTS } from "../build.ts";
import { b64 } from "../material.ts";

const without = (it: Json, ...names: string[]) =>
  Object.fromEntries(Object.entries(it).filter(([name]) => !names.includes(name)));
const jwe = (change: (value: string) => string) => (it: Annotations) => ({
  ...it,
  [JWE]: change(it[JWE] ?? ""),
});
const pubopts = (change: (value: string) => string) => (it: Annotations) => ({
  ...it,
  [PUBOPTS]: change(it[PUBOPTS] ?? ""),
});
const descriptor = "BAD_DESCRIPTOR";
const annotation = "BAD_ANNOTATION";
const packet = "BAD_PACKET";
const GARBAGE = b64("not a JWE");
const ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd+encrypted";

export const DESCRIPTOR_CASES: Readonly<Record<string, Case>> = {
  "descriptor-missing": { about: "no descriptor", expect: descriptor, payload: () => ({}) },
  "descriptor-null": {
    about: "a descriptor of null",
    expect: descriptor,
    payload: () => ({ Descriptor: null }),
  },
  "descriptor-list": { about: "a descriptor that is a list", expect: descriptor, descriptor: (it) => [it] },
  "descriptor-text": {
    about: "a descriptor that is text",
    expect: descriptor,
    descriptor: (it) => JSON.stringify(it),
  },
  "mediatype-missing": {
    about: "no media type",
    expect: descriptor,
    descriptor: (it) => without(it, "mediaType"),
  },
  "mediatype-number": {
    about: "a media type that is a number",
    expect: descriptor,
    descriptor: (it) => ({ ...it, mediaType: 5 }),
  },
  "mediatype-empty": {
    about: "an empty media type",
    expect: "BAD_MEDIA_TYPE",
    descriptor: (it) => ({ ...it, mediaType: "" }),
  },
  "mediatype-plain": {
    about: "the media type of a plain layer",
    expect: "BAD_MEDIA_TYPE",
    descriptor: (it) => ({ ...it, mediaType: "application/vnd.oci.image.layer.v1.tar" }),
  },
  "mediatype-manifest": {
    about: "an encrypted manifest, which there is not",
    expect: "BAD_MEDIA_TYPE",
    descriptor: (it) => ({ ...it, mediaType: "application/vnd.oci.image.manifest.v1+json+encrypted" }),
  },
  "mediatype-twice": {
    about: "+encrypted twice",
    expect: "BAD_MEDIA_TYPE",
    descriptor: (it) => ({ ...it, mediaType: `${it["mediaType"]}+encrypted` }),
  },
  "mediatype-parameter": {
    about: "a parameter behind the media type",
    expect: "BAD_MEDIA_TYPE",
    descriptor: (it) => ({ ...it, mediaType: `${it["mediaType"]}; a=b` }),
  },
  "mediatype-upper-case": {
    about: "the media type in capitals",
    expect: "BAD_MEDIA_TYPE",
    descriptor: (it) => ({ ...it, mediaType: String(it["mediaType"]).toUpperCase() }),
  },
  "mediatype-zstd": { about: "zstd", expect: "ok", mediaType: ZSTD },
  "mediatype-docker": {
    about: "Docker's media type, which some tools write",
    expect: "ok",
    mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip+encrypted",
  },
  "mediatype-nondistributable": {
    about: "a nondistributable layer",
    expect: "ok",
    mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip+encrypted",
  },
  "size-absent": { about: "no size", expect: "ok", descriptor: (it) => without(it, "size") },
  "size-zero": {
    about: "a size of 0, as Go writes an unset one",
    expect: "ok",
    descriptor: (it) => ({ ...it, size: 0 }),
  },
  "size-negative": {
    about: "a negative size",
    expect: descriptor,
    descriptor: (it) => ({ ...it, size: -1 }),
  },
  "size-fraction": { about: "half a byte", expect: descriptor, descriptor: (it) => ({ ...it, size: 200.5 }) },
  "size-text": {
    about: "a size that is text",
    expect: descriptor,
    descriptor: (it) => ({ ...it, size: "200" }),
  },
  "size-huge": {
    about: "a size above 2^53",
    expect: descriptor,
    descriptor: (it) => ({ ...it, size: 2 ** 60 }),
  },
  "size-too-small": {
    about: "a size of one byte less than there are",
    expect: "SIZE_MISMATCH",
    descriptor: (it) => ({ ...it, size: 199 }),
  },
  "size-too-large": {
    about: "a size of more than there is does no harm to a layer that is authentic",
    expect: "ok",
    descriptor: (it) => ({ ...it, size: 201 }),
  },
  "size-terabytes": {
    about: "a size of a terabyte takes no memory",
    expect: "ok",
    descriptor: (it) => ({ ...it, size: 1e12 }),
  },
  "digest-absent": { about: "no digest", expect: "ok", descriptor: (it) => without(it, "digest") },
  "digest-wrong": {
    about: "another digest, which is not checked",
    expect: "ok",
    descriptor: (it) => ({ ...it, digest: `sha256:${"0".repeat(64)}` }),
  },
  "digest-wrong-verified": {
    about: "another digest with --verify-digest",
    expect: "DIGEST_MISMATCH",
    args: ["--verify-digest"],
    descriptor: (it) => ({ ...it, digest: `sha256:${"0".repeat(64)}` }),
  },
  "digest-right-verified": {
    about: "the right digest with --verify-digest",
    expect: "ok",
    args: ["--verify-digest"],
  },
  "digest-md5-verified": {
    about: "a digest of another algorithm with --verify-digest",
    expect: descriptor,
    args: ["--verify-digest"],
    descriptor: (it) => ({ ...it, digest: `md5:${"0".repeat(32)}` }),
  },
  "annotations-null": {
    about: "annotations of null",
    expect: annotation,
    descriptor: (it) => ({ ...it, annotations: null }),
  },
  "annotations-list": {
    about: "annotations that are a list",
    expect: descriptor,
    descriptor: (it) => ({ ...it, annotations: [] }),
  },
  "annotations-number": {
    about: "an annotation that is a number",
    expect: descriptor,
    annotations: (it) => ({ ...it, x: 5 }),
  },
  "annotations-duplicate": {
    about: "the wrapped key twice, the last one whole",
    expect: "ok",
    payload: (it) =>
      Buffer.from(JSON.stringify(it).replace('"annotations":{', `"annotations":{"${JWE}":"AAAA",`)),
  },
  "annotations-name-case": {
    about: "annotation names in another case are other annotations",
    expect: annotation,
    annotations: (it) => ({ [JWE.toUpperCase()]: it[JWE], [PUBOPTS]: it[PUBOPTS] }),
  },
  "annotations-proto": {
    about: "an annotation named __proto__",
    expect: "ok",
    payload: (it) =>
      Buffer.from(JSON.stringify(it).replace('"annotations":{', '"annotations":{"__proto__":"x",')),
  },
  "packets-missing": { about: "no wrapped key", expect: annotation, annotations: (it) => without(it, JWE) },
  "packets-unknown-scheme": {
    about: "a wrapped key of an unknown scheme alone",
    expect: annotation,
    annotations: (it) => ({ "org.opencontainers.image.enc.keys.rot13": it[JWE], [PUBOPTS]: it[PUBOPTS] }),
  },
  "packets-unknown-scheme-too": {
    about: "a wrapped key of an unknown scheme beside the right one",
    expect: "ok",
    annotations: (it) => ({ "org.opencontainers.image.enc.keys.rot13": "x", ...it }),
  },
  "packets-provider-no-name": {
    about: "a key provider without a name",
    expect: annotation,
    annotations: (it) => ({ "org.opencontainers.image.enc.keys.provider.": it[JWE], [PUBOPTS]: it[PUBOPTS] }),
  },
  "packets-provider-unknown": {
    about: "a key provider that is not configured",
    expect: "NO_KEY",
    annotations: (it) => ({
      "org.opencontainers.image.enc.keys.provider.kms": it[JWE],
      [PUBOPTS]: it[PUBOPTS],
    }),
  },
  "packets-provider-unknown-too": {
    about: "a key provider that is not configured, and a JWE",
    expect: "ok",
    annotations: (it) => ({ "org.opencontainers.image.enc.keys.provider.kms": "AAAA", ...it }),
  },
  "packets-empty": { about: "an empty wrapped key", expect: packet, annotations: jwe(() => "") },
  "packets-not-base64": {
    about: "a wrapped key that is no base64",
    expect: packet,
    annotations: jwe(() => "{}"),
  },
  "packets-base64url": {
    about: "base64url in place of base64",
    expect: packet,
    annotations: jwe((it) => `_-_-${it}`),
  },
  "packets-no-padding": {
    about: "base64 without its padding",
    expect: packet,
    annotations: jwe((it) => `${it},${b64("x").replaceAll("=", "")}`.split(",")[1] ?? ""),
  },
  "packets-base64-trailing": {
    about: "a character behind the base64's padding",
    expect: packet,
    annotations: jwe(() => `${b64("xx")}A`),
  },
  "packets-base64-space": {
    about: "a space in the base64",
    expect: packet,
    annotations: jwe((it) => `${it.slice(0, 8)} ${it.slice(8)}`),
  },
  "packets-base64-newlines": {
    about: "line breaks in the base64, which Go ignores",
    expect: "ok",
    annotations: jwe((it) => it.replace(/(.{64})/g, "$1\r\n")),
  },
  "packets-garbage": { about: "base64 of no JWE", expect: packet, annotations: jwe(() => GARBAGE) },
  "packets-empty-item-first": {
    about: "an empty packet before the right one",
    expect: "ok",
    annotations: jwe((it) => `,${it}`),
  },
  "packets-empty-item-last": {
    about: "an empty packet behind the right one",
    expect: "ok",
    annotations: jwe((it) => `${it},`),
  },
  "packets-only-commas": { about: "nothing but commas", expect: packet, annotations: jwe(() => ",,,") },
  "packets-bad-before-good": {
    about: "a packet that is no base64 before the right one",
    expect: "ok",
    annotations: jwe((it) => `!,${it}`),
  },
  "packets-garbage-before-good": {
    about: "a packet that is no JWE before the right one",
    expect: "ok",
    annotations: jwe((it) => `${GARBAGE},${it}`),
  },
  "packets-good-before-garbage": {
    about: "a packet that is no JWE behind the right one",
    expect: "ok",
    annotations: jwe((it) => `${it},${GARBAGE}`),
  },
  "packets-good-among-ten": {
    about: "the right packet after ten bad ones",
    expect: "ok",
    annotations: jwe((it) => `${`${GARBAGE},`.repeat(10)}${it}`),
  },
  "packets-1025-packets": {
    about: "more packets than any image has",
    expect: "LIMIT",
    annotations: jwe((it) => `${",".repeat(1024)}${it}`),
  },
  "packets-1024-packets": {
    about: "as many packets as are allowed, the right one last",
    expect: "ok",
    annotations: jwe((it) => `${",".repeat(1023)}${it}`),
  },
  "packets-other-scheme-garbage": {
    about: "garbage for PKCS#7 and PGP beside the right JWE",
    expect: "ok",
    annotations: (it) => ({ [PKCS7]: GARBAGE, [PGP]: GARBAGE, ...it }),
  },
  "packets-under-other-scheme": {
    about: "a JWE under PKCS#7's name",
    expect: packet,
    annotations: (it) => ({ [PKCS7]: it[JWE], [PUBOPTS]: it[PUBOPTS] }),
  },
  "pubopts-missing": {
    about: "no public options",
    expect: annotation,
    annotations: (it) => without(it, PUBOPTS),
  },
  "pubopts-empty": { about: "empty public options", expect: annotation, annotations: pubopts(() => "") },
  "pubopts-not-base64": {
    about: "public options that are no base64",
    expect: annotation,
    annotations: pubopts(() => "{}"),
  },
  "pubopts-base64url": {
    about: "public options in base64url",
    expect: annotation,
    annotations: pubopts((it) => `_${it}`),
  },
  "pubopts-newlines": {
    about: "line breaks in the base64 of the public options",
    expect: "ok",
    annotations: pubopts((it) => it.replace(/(.{20})/g, "$1\n")),
  },
  "pubopts-two": {
    about: "two public options, comma separated",
    expect: annotation,
    annotations: pubopts((it) => `${it},${it}`),
  },
  "pubopts-not-json": {
    about: "public options that are no JSON",
    expect: annotation,
    annotations: pubopts(() => b64("cipher")),
  },
  "pubopts-list": {
    about: "public options that are a list",
    expect: annotation,
    annotations: pubopts((it) => b64(`[${Buffer.from(it, "base64")}]`)),
  },
  "pubopts-truncated": {
    about: "public options without the last brace",
    expect: annotation,
    annotations: pubopts((it) => b64(Buffer.from(it, "base64").subarray(0, -1))),
  },
};
