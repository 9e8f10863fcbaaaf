import { decodeBase64 } from "../../encoding/base64.ts";
import { isObject } from "../../encoding/json.ts";
import { DecoderError } from "../../errors.ts";

/** A JSON object of a policy, read strictly: each name must be wanted, and each value be of its kind. */
export class Fields {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #where: string;

  /**
   * @param where for messages: `policy /etc/containers/policy.json: default[0]`
   * @throws DecoderError CONFIG for what is not an object, or has an unknown name
   */
  constructor(value: unknown, where: string, names: readonly string[]) {
    if (!isObject(value)) throw bad(where, "it is not an object");
    const unknown = Object.keys(value).find((name) => !names.includes(name));
    if (unknown !== undefined) throw bad(where, `unknown field ${JSON.stringify(unknown)}`);
    this.#value = value;
    this.#where = where;
  }

  get where(): string {
    return this.#where;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#value, name);
  }

  value(name: string): unknown {
    return Object.hasOwn(this.#value, name) ? this.#value[name] : undefined;
  }

  /** A text; undefined where it is absent. Go reads null as absent. */
  text(name: string): string | undefined {
    const value = this.value(name) ?? undefined;
    if (value === undefined || typeof value === "string") return value;
    throw this.problem(`${name} is not a text`);
  }

  requiredText(name: string): string {
    const text = this.text(name);
    if (text === undefined || text === "") throw this.problem(`${name} is missing`);
    return text;
  }

  /** A text that must not be empty where it is given: an empty one demands nothing. */
  fullText(name: string): string | undefined {
    const text = this.text(name);
    if (text === "") throw this.problem(`${name} is empty`);
    return text;
  }

  /** Of JSON, or as YAML writes it. Other words, such as YAML 1.1's "yes", have no meaning that all readers share. */
  boolean(name: string): boolean | undefined {
    const value = this.value(name) ?? undefined;
    if (value === undefined || typeof value === "boolean") return value;
    if (typeof value === "string" && /^(?:true|True|TRUE)$/.test(value)) return true;
    if (typeof value === "string" && /^(?:false|False|FALSE)$/.test(value)) return false;
    throw this.problem(`${name} is neither true nor false`);
  }

  list(name: string): readonly unknown[] | undefined {
    const value = this.value(name) ?? undefined;
    if (value === undefined || Array.isArray(value)) return value;
    throw this.problem(`${name} is not a list`);
  }

  texts(name: string): readonly string[] | undefined {
    const list = this.list(name);
    if (list?.every((it) => typeof it === "string") ?? true) return list as readonly string[] | undefined;
    throw this.problem(`${name} is not a list of texts`);
  }

  /** Bytes as Go writes them in JSON: standard base64. */
  bytes(name: string): Uint8Array | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : this.#decode(name, text);
  }

  bytesList(name: string): readonly Uint8Array[] | undefined {
    return this.texts(name)?.map((text, position) => this.#decode(`${name}[${position}]`, text));
  }

  problem(what: string): DecoderError {
    return bad(this.#where, what);
  }

  #decode(name: string, text: string): Uint8Array {
    const bytes = decodeBase64(text);
    if (bytes === null) throw this.problem(`${name} is not base64`);
    return bytes;
  }
}

function bad(where: string, what: string): DecoderError {
  return new DecoderError("CONFIG", `${where}: ${what}`);
}
