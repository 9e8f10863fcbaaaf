import { formatImageName, type ImageName, repositoryOf } from "./image-name.ts";

/** How far `*` reaches in a format's patterns; `**` reaches everywhere, and `?` takes one character in both. */
type StarReach = "everything" | "one path component";

/** Whether a pattern matches a whole text, in time proportional to both lengths. */
export function matchesWildcard(pattern: string, text: string, reach: StarReach): boolean {
  const parts = [...pattern.matchAll(/\*+|[^*]/gsu)].map(([part]) => part);
  // Which prefixes of the pattern match the text so far.
  let reached = new Set(closure([0], parts));
  for (const character of text) {
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

/** A star may match nothing. */
function closure(positions: readonly number[], parts: readonly string[]): number[] {
  const all = [...positions];
  for (let i = 0; i < all.length; i++) {
    const at = all[i] ?? 0;
    if (parts[at]?.startsWith("*")) all.push(at + 1);
  }
  return all;
}

/** The registries that some patterns name, with their ports. */
export function registriesIn(patterns: readonly string[]): readonly string[] {
  const hosts = patterns.flatMap((pattern) => REGISTRY.exec(pattern)?.[1] ?? []);
  return [...new Set(hosts)];
}

/** As Docker tells a registry from the first part of a repository's path. */
const REGISTRY = /^([\w-]+(?:\.[\w-]+)*:\d+|[\w-]+(?:\.[\w-]+)+|localhost)\//;

/** The ways in which people write an image's name: with and without its tag, and for Docker Hub as its tools shorten it. */
export function writtenForms(name: ImageName): readonly string[] {
  return withShortForms([formatImageName(name), repositoryOf(name)], name);
}

/** Those of the forms that can only be this image: a missing tag means "latest". */
export function taggedForms(name: ImageName): readonly string[] {
  const full = formatImageName(name);
  return withShortForms(name.tag === LATEST ? [full, repositoryOf(name)] : [full], name);
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
