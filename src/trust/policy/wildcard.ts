import { formatImageName, type ImageName, repositoryOf } from "./image-name.ts";

/** How far `*` reaches in a format's patterns; `**` reaches everywhere, and `?` takes one character in both. */
type StarReach = "everything" | "one path component";

/** Any tag, in the text of a name. No real tag has this character. A pattern matches if it does so with at least one tag. */
export const ANY_TAG = "*";
/** A part of a pattern that may stand for a part of a tag. */
const TAG_PART = /^(?:[\w.?-]|\*+)$/;

/** Whether a pattern matches a whole text, in time proportional to both lengths. */
export function matchesWildcard(pattern: string, text: string, reach: StarReach): boolean {
  const parts = [...pattern.matchAll(/\*+|[^*]/gsu)].map(([part]) => part);
  // Which prefixes of the pattern match the text so far.
  let reached = new Set(closure([0], parts));
  for (const character of text) {
    if (character === ANY_TAG) {
      reached = new Set(closure([...reached], parts, TAG_PART));
      continue;
    }
    const next: number[] = [];
    for (const at of reached) {
      const part = parts[at];
      if (part === undefined) continue;
      if (!part.startsWith("*")) {
        if (part === character || part === "?") next.push(at + 1);
      } else if (reach === "everything" || part.length > 1 || character !== "/") next.push(at);
    }
    reached = new Set(closure(next, parts));
  }
  return reached.has(parts.length);
}

const STAR = /\*/;

/** @param passed what may be passed over: a star may match nothing */
function closure(positions: readonly number[], parts: readonly string[], passed = STAR): readonly number[] {
  const all = new Set(positions);
  // A set that grows is iterated to its new end.
  for (const at of all) if (passed.test(parts[at] ?? "")) all.add(at + 1);
  return [...all];
}

/** The registries that some patterns name, with their ports. Wildcards stay in those that have a port. */
export function registriesIn(patterns: readonly string[]): readonly string[] {
  const hosts = patterns.flatMap((pattern) => REGISTRY.exec(pattern)?.[0] ?? []);
  return [...new Set(hosts)];
}

/** Docker's rule for whether the first part of a name is a registry. A star of a port may stand for the path as well. */
const REGISTRY =
  /^(?:[\w*?-]+(?:\.[\w*?-]+)*:(?:[\d?]+(?=\/)|[\d?]*\*[\d?*]*)|[\w-]+(?:\.[\w-]+)+(?=\/)|localhost(?=\/))/;

/**
 * A port that a registry of a policy names for a host: one that its wildcards match. Undefined if it is of another host, or
 * names no port, and for a host that has a port.
 * @param registry `registry.example.com:5000`, `*.example.com:5000`, `registry.example.com:*`
 */
export function portFor(host: string, registry: string): string | undefined {
  const colon = registry.lastIndexOf(":");
  if (colon < 0 || /:\d+$/.test(host) || !matchesWildcard(registry.slice(0, colon), host, "everything"))
    return undefined;
  return (
    registry
      .slice(colon + 1)
      .replaceAll("?", "0")
      .replaceAll("*", "") || "0"
  );
}

/**
 * The ways in which people write an image's name: with and without its tag, and for Docker Hub as its tools shorten it. Of
 * `NAME:TAG@DIGEST`, containerd passes on `NAME@DIGEST`.
 */
export function writtenForms(name: ImageName): readonly string[] {
  return [...withShortForms([formatImageName(name), repositoryOf(name)], name), ...anyTagForms(name)];
}

/** Those of the forms that can only be this image: a missing tag means "latest". */
export function taggedForms(name: ImageName): readonly string[] {
  const full = formatImageName(name);
  const isLatest = name.tag === LATEST || name.tag === ANY_TAG;
  return withShortForms(isLatest ? [full, repositoryOf(name)] : [full], name);
}

/** The forms of a name by digest that have a tag as well, whatever it is. */
export function anyTagForms(name: ImageName): readonly string[] {
  return name.digest === undefined ? [] : withShortForms([formatImageName({ ...name, tag: ANY_TAG })], name);
}

function withShortForms(forms: readonly string[], name: ImageName): readonly string[] {
  if (name.registry !== DOCKER_HUB) return forms;
  const shortened = forms.map((it) => it.slice(DOCKER_HUB.length + 1));
  const official = shortened.flatMap((it) => (it.startsWith(OFFICIAL) ? it.slice(OFFICIAL.length) : []));
  return [...forms, ...forms.map((it) => `index.${it}`), ...shortened, ...official];
}

const LATEST = "latest";
const DOCKER_HUB = "docker.io";
const OFFICIAL = "library/";
