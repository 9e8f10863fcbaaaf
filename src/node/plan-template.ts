import { dirname, join } from "node:path";
import {
  isTable,
  parseConfig,
  readConfigText,
  readContainerdConfig,
  type Table,
  templateVersion,
} from "../containerd/config.ts";
import { renderVerifier, sectionOf } from "../containerd/image-verifier.ts";
import { renderProcessors } from "../containerd/stream-processors.ts";
import { renderTemplate } from "../containerd/template.ts";
import type { ContainerdVersion } from "../containerd/version.ts";
import { DecoderError } from "../errors.ts";
import type { FileChange } from "./changes.ts";
import type { NodeRoot } from "./node-root.ts";
import {
  type ConfigPlan,
  dropInChanges,
  dropInFor,
  gateFor,
  type PlanOptions,
  planOf,
  processorsFor,
  refuseEdits,
  verifierFor,
  withFile,
} from "./plan-file.ts";
import { hasSameMeaning, removeProcessor } from "./toml-edit.ts";

const BEGIN = "# BEGIN ctd-decoder";
const END = "# END ctd-decoder";

/** A configuration that k3s or RKE2 renders: the processors go to a folder that it imports, or else to the template. */
export function planRendered(node: NodeRoot, options: PlanOptions): ConfigPlan {
  const { distribution, version, tenants } = options;
  const folder = dirname(distribution.configFile);
  const rendered = node.exists(distribution.configFile)
    ? readContainerdConfig(distribution.configFile, node)
    : undefined;
  const pattern = rendered?.files[0]?.imports.find((it) =>
    /^config(?:-v3)?\.toml\.d$/.test(dirname(it).slice(folder.length + 1)),
  );
  if (rendered !== undefined && pattern !== undefined) {
    const wanted = processorsFor(rendered, options);
    const dropIn = dropInFor(pattern, distribution.configFile);
    const gate = gateFor(node, rendered, dropIn, options);
    if (tenants !== undefined) refuseEdits(gate, distribution);
    const changes = dropInChanges(node, { path: dropIn, config: rendered, wanted, options, gate });
    return planOf(distribution.configFile, rendered, changes, { wanted, gate });
  }
  // The template `base` has a table of runc's options already, and TOML allows no second one.
  if (tenants !== undefined) refuseEdits(undefined, distribution);
  const template = join(folder, templateName(node, folder, version));
  return planTemplate(node, template, options);
}

/** With containerd 2.x, k3s reads config-v3.toml.tmpl, or config.toml.tmpl if the first one is missing. */
function templateName(node: NodeRoot, folder: string, { major }: ContainerdVersion): string {
  const [old, current] = ["config.toml.tmpl", "config-v3.toml.tmpl"];
  if (major < 2) return old;
  return !node.exists(join(folder, current)) && node.exists(join(folder, old)) ? old : current;
}

function planTemplate(node: NodeRoot, template: string, options: PlanOptions): ConfigPlan {
  const parse = (text: string) => parseTemplate(template, text);
  const text = node.exists(template) ? readConfigText(template, node) : '{{ template "base" . }}\n';
  let bare = withoutBlock(text);
  const config = isReadable(parse, text) ? text : bare;
  const before = readContainerdConfig(template, withFile(node, template, config));
  const wanted = processorsFor(before, options);
  for (const id of [...wanted.processors.keys(), ...wanted.reduced.keys()]) {
    if (!hasProcessor(parse(bare), id)) continue;
    const cut = removeProcessor(bare, id, parse);
    if (cut === undefined) throw uneditable(template, id);
    bare = cut;
  }
  const reduced = [...wanted.reduced].filter(([, { accepts }]) => accepts.length > 0);
  const verifier = verifierFor(options, before);
  // TOML has each table once: an operator's own stays.
  const { plugins } = parse(bare);
  const isOwn = isTable(plugins) && Object.keys(sectionOf(plugins)).length > 0;
  const stanza = verifier === undefined || isOwn ? "" : `\n${renderVerifier(verifier)}`;
  const block = `${renderProcessors(new Map([...wanted.processors, ...reduced]))}${stanza}`;
  const edited = `${bare}${bare === "" || bare.endsWith("\n") ? "" : "\n"}${BEGIN}\n${block}${END}\n`;
  const isRight = isReadable(parse, text) && hasSameMeaning(parse(edited), parse(text));
  const changes: FileChange[] = isRight
    ? []
    : [{ path: template, kind: "template", content: { text: edited } }];
  return planOf(template, before, changes, { wanted, gate: undefined });
}

/** An older installer may have appended its block to a template that had the same processors. */
function isReadable(parse: (text: string) => Table, text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}

function uneditable(template: string, id: string): DecoderError {
  return new DecoderError("CONFIG", `cannot remove ${id} from ${template} safely`, {
    hint: `remove its stream_processors.${JSON.stringify(id)} by hand, and run this again`,
  });
}

/** A template without the part that an installation appended. */
export function withoutBlock(text: string): string {
  const [from, to] = [text.indexOf(`${BEGIN}\n`), text.indexOf(`${END}\n`)];
  return from < 0 || to < from ? text : text.slice(0, from) + text.slice(to + END.length + 1);
}

/** @throws DecoderError CONFIG */
function parseTemplate(template: string, text: string): Table {
  return parseConfig(
    renderTemplate(template, text, templateVersion(template)),
    `what the template ${template} renders to`,
  );
}

function hasProcessor({ stream_processors: all }: Table, id: string): boolean {
  return isTable(all) && Object.hasOwn(all, id);
}
