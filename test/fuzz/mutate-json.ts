import { mutateDer } from "./mutate-der.ts";
import type { Random } from "./random.ts";

type Container = Record<string, unknown> | unknown[];

const DEEP = 3000;

/** Values that a parser of one kind of JSON may take for another. */
const STRANGE: readonly (() => unknown)[] = [
  () => null,
  () => true,
  () => 0,
  () => -1,
  () => 1.5,
  () => 2 ** 53,
  () => 1e308,
  () => "",
  () => "A",
  () => "=",
  () => "AAAA",
  () => "\ud800",
  () => "__proto__",
  () => "A".repeat(5000),
  () => [],
  () => [[]],
  () => [null],
  () => new Array(300).fill(null),
  () => ({}),
  () => ({ "": {} }),
  () => JSON.parse(`${"[".repeat(DEEP)}${"]".repeat(DEEP)}`),
];
const NAMES = [
  "__proto__",
  "constructor",
  "toString",
  "",
  "keys",
  "d",
  "alg",
  "enc",
  "zip",
  "crit",
  "kty",
  "epk",
  "p2c",
];

/** Changes one value, name or text of a JSON text; what is base64 in it is changed below the base64. */
export function mutateJson(bytes: Buffer, random: Random): Buffer {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return bytes;
  }
  const root: Container = { root: value };
  const places = [...placesOf(root)];
  const [container, key] = random.pick(places);
  change(container, key, random, places);
  try {
    return Buffer.from(doubled(JSON.stringify(root["root"] ?? null), random));
  } catch {
    // Nested deeper than the runtime can write.
    return bytes;
  }
}

type Place = readonly [container: Container, key: string];

function* placesOf(container: Container): Generator<Place> {
  const stack: Container[] = [container];
  for (let current = stack.pop(); current !== undefined; current = stack.pop()) {
    for (const [key, value] of Object.entries(current)) {
      yield [current, key];
      if (typeof value === "object" && value !== null) stack.push(value as Container);
    }
  }
}

function change(container: Container, key: string, random: Random, places: readonly Place[]): void {
  const at = container as Record<string, unknown>;
  const value = at[key];
  switch (random.below(7)) {
    case 0:
      at[key] = random.pick(STRANGE)();
      return;
    case 1:
      if (Array.isArray(container)) container.splice(Number(key), 1);
      else delete at[key];
      return;
    case 2: {
      const [other, otherKey] = random.pick(places);
      const copy = JSON.stringify((other as Record<string, unknown>)[otherKey]);
      if (copy !== undefined && copy.length < 8192) at[key] = JSON.parse(copy);
      return;
    }
    case 3:
      at[random.chance(2) ? random.pick(NAMES) : recased(key, random)] = value;
      return;
    case 4:
      if (Array.isArray(value) && value.length > 0) {
        const item = random.pick(value);
        for (let n = random.below(40); n > 0; n--) value.splice(random.below(value.length), 0, item);
        return;
      }
  }
  if (typeof value === "string") at[key] = changedText(value, random);
  else at[key] = random.pick(STRANGE)();
}

function recased(key: string, random: Random): string {
  return random.chance(2) ? key.toUpperCase() : key.toLowerCase();
}

function changedText(text: string, random: Random): string {
  const encoding = /[-_]/.test(text) ? "base64url" : "base64";
  const isBase64 = text.length > 3 && /^[A-Za-z0-9+/_-]+=*$/.test(text);
  if (isBase64 && !random.chance(4)) {
    const inner = Buffer.from(text, encoding);
    if (inner[0] === 0x7b) return mutateJson(inner, random).toString(encoding);
    if (inner[0] === 0x30) return mutateDer(inner, random).toString(encoding);
    const changed = Buffer.concat([inner, random.bytes(random.below(3))]).subarray(random.below(2));
    if (changed.length > 0) {
      const at = random.below(changed.length);
      changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8));
    }
    return changed.toString(random.chance(8) ? "base64url" : encoding);
  }
  const at = random.below(text.length + 1);
  return (
    text.slice(0, at) +
    random.pick(["", "=", "\n", " ", ",", "%", "\0", "é", "../", "A"]) +
    text.slice(at + random.below(3))
  );
}

/** Now and then a member twice: JSON.stringify can't say that. */
function doubled(text: string, random: Random): string {
  if (!random.chance(10)) return text;
  const members = [...text.matchAll(/"[^"\\]{1,40}":(?:"[^"\\]{0,200}"|null|\d+)/g)];
  if (members.length === 0) return text;
  const { 0: member, index } = random.pick(members);
  return `${text.slice(0, index)}${member},${text.slice(index)}`;
}
