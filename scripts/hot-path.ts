export interface Metafile {
  readonly outputs: Record<
    string,
    {
      entryPoint?: string;
      imports: { path: string; kind: string; external?: boolean }[];
      inputs: Record<string, unknown>;
    }
  >;
}
export function checkHotPath(_: Metafile): void {}
