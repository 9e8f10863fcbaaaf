import type { TrustFile } from "../requirement.ts";
import type { Fields } from "./fields.ts";
import type { FileReader, Material, MaterialKind } from "./policy.ts";

/** Where a policy has keys or certificates: in one of its fields, or in files that are read later. */
export interface MaterialSource {
  readonly field: string;
  readonly paths: readonly string[];
  readonly datas: readonly Uint8Array[];
}

/**
 * The one of several fields that is given; an empty path and a null count as absent, as in Go.
 * @throws DecoderError CONFIG when there are several
 */
export function readSource(fields: Fields, names: readonly string[]): MaterialSource | undefined {
  const given = names.filter((name) => {
    const value = fields.value(name) ?? undefined;
    return value !== undefined && !(name.endsWith("Path") && value === "");
  });
  const [field] = given;
  if (given.length > 1) throw fields.problem(`${given.join(" and ")} exclude each other`);
  for (const name of names) readValues(fields, name);
  return field === undefined ? undefined : readValues(fields, field);
}

function readValues(fields: Fields, field: string): MaterialSource {
  if (field.endsWith("Paths")) return { field, paths: fields.texts(field) ?? [], datas: [] };
  if (field.endsWith("Datas")) return { field, paths: [], datas: fields.bytesList(field) ?? [] };
  if (field.endsWith("Data")) return { field, paths: [], datas: [fields.bytes(field) ?? new Uint8Array()] };
  return { field, paths: [fields.text(field) ?? ""], datas: [] };
}

/** Keys: one of each file. Of certificates and keyrings, all count. */
export function loadKeys(source: MaterialSource, read: FileReader): TrustFile[] {
  return load(source, read).map((file) => ({ ...file, hasOneKey: true }));
}

export function load(source: MaterialSource, read: FileReader): TrustFile[] {
  return [...source.paths.map(read), ...embedded(source)];
}

function embedded({ field, datas }: MaterialSource): TrustFile[] {
  return datas.map((bytes, position) => ({ name: `the policy's ${field}[${position}]`, bytes }));
}

export function materialsOf(kind: MaterialKind, source: MaterialSource | undefined): Material[] {
  if (source === undefined) return [];
  return [
    ...source.paths.map((path) => ({ kind, path })),
    ...embedded(source).map((file) => ({ kind, file })),
  ];
}
