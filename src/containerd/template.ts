import { DecoderError } from "../errors.ts";

/** Whether a file is a Go template that k3s or RKE2 renders to containerd's configuration. */
export function isTemplate(path: string, text: string): boolean {
  return path.endsWith(".tmpl") || /\{\{-?\s*(?:\/\*|template|if|range|with|end|\.)/.test(text);
}

interface Action {
  readonly text: string;
  /** The text between this action and the next. */
  readonly after: string;
}

interface Block {
  /** Whether the part that is being read appears in the output. */
  readonly isShown: boolean;
  /** Whether a later `else` part appears. */
  readonly showsElse: boolean;
}

const OPENS_BLOCK = /^(?:if|with|range|block|define)\b/;
/** Loops run once, so that the index of a list is 0, which is false: templates write commas this way. */
const FALSE_CONDITION = /^(?:define\b|if\s+\$\w+$)/;
const BASE = /^template\s+"base"/;
/** A value that is valid both inside and outside a TOML string. */
const ANY_VALUE = "0";

/**
 * TOML with the structure of the rendered template: `base` becomes its version line, conditions hold, loops run once, and
 * values are 0.
 * @param version configuration version of the `base` template
 * @throws DecoderError CONFIG for unbalanced blocks
 */
export function renderTemplate(path: string, text: string, version: number): string {
  const [head, actions] = splitActions(text);
  let rendered = head;
  const blocks: Block[] = [];
  const isShown = () => blocks.at(-1)?.isShown ?? true;
  for (const { text: action, after } of actions) {
    if (OPENS_BLOCK.test(action)) {
      const holds = !FALSE_CONDITION.test(action);
      blocks.push({
        isShown: isShown() && holds,
        showsElse: isShown() && !holds && !action.startsWith("define"),
      });
    } else if (/^else\b/.test(action) || action === "end") {
      const block = blocks.pop();
      if (block === undefined) throw unbalanced(path);
      if (action !== "end") blocks.push({ isShown: block.showsElse, showsElse: false });
    } else if (isShown()) {
      rendered += standIn(action, version);
    }
    if (isShown()) rendered += after;
  }
  if (blocks.length > 0) throw unbalanced(path);
  return rendered;
}

/** The text before the first action, and the actions. `{{-` and `-}}` trim the white space beside them. */
function splitActions(text: string): [string, Action[]] {
  const [head = "", ...parts] = text.split(/\s*\{\{-\s|\{\{/);
  const actions = parts.map((part) => {
    const [, action = part, trim, after = ""] = /^([\s\S]*?)(\s-)?\}\}([\s\S]*)$/.exec(part) ?? [];
    return { text: action.trim(), after: trim === undefined ? after : after.trimStart() };
  });
  return [head, actions];
}

function standIn(action: string, version: number): string {
  if (BASE.test(action)) return `version = ${version}\n`;
  const isSilent = /^(?:\/\*|template\b|break\b|continue\b|\$\w+\s*:?=)/.test(action);
  return isSilent ? "" : ANY_VALUE;
}

function unbalanced(path: string): DecoderError {
  return new DecoderError("CONFIG", `${path} is not a valid template: its blocks are unbalanced`);
}
