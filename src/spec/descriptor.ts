/** OCI image-spec v1.1 content descriptor. `size` in bytes, `digest` as "sha256:<hex>". Unknown fields are kept. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}
