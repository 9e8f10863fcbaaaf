import { type DerElement, readChildren, readElement, writeElement } from "../../src/encoding/der.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Bit of a tag whose content is elements (X.690 §8.1.2.5). */
const CONSTRUCTED = 0x20;

/** One element of a DER structure, and what the structure is after a change of it. */
export interface DerPlace {
  /** Positions from the outermost element: "0.3.1". */
  readonly path: string;
  readonly element: DerElement;
  /** The whole structure, with this in the element's place. */
  with(...elements: readonly Uint8Array[]): Bytes;
}

/** Every element below the outermost one, in the order of the bytes. @throws Error for what is not DER */
export function derPlaces(der: Bytes): DerPlace[] {
  const root = readElement(der);
  if (root === null) throw new Error("bug: it is not DER");
  return below(root, "", (inner) => writeElement(root.tag, ...inner));
}

function below(
  { content }: DerElement,
  prefix: string,
  wrap: (children: readonly Uint8Array[]) => Bytes,
): DerPlace[] {
  const children = readChildren(content, 1000);
  if (children === null) throw new Error("bug: its content is not DER");
  return children.flatMap((element, i) => {
    const path = `${prefix}${i}`;
    const wholes = children.map(({ whole }) => whole);
    const put = (...elements: readonly Uint8Array[]) =>
      wrap([...wholes.slice(0, i), ...elements, ...wholes.slice(i + 1)]);
    const own = { path, element, with: put };
    if ((element.tag & CONSTRUCTED) === 0) return [own];
    return [own, ...below(element, `${path}.`, (inner) => put(writeElement(element.tag, ...inner)))];
  });
}

/** What is put in the place of one element: nothing, the same content with another tag, the element twice, or an empty one. */
export const EDITS: Readonly<Record<string, (element: DerElement) => readonly Uint8Array[]>> = {
  removed: () => [],
  retagged: ({ tag, content }) => [writeElement(tag ^ ANOTHER, content)],
  doubled: ({ whole }) => [whole, whole],
  emptied: ({ tag }) => [writeElement(tag)],
};
/** Changes any tag that is in use here to one that is not. */
const ANOTHER = 0x18;
