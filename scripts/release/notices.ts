/** Licences of all components of the executable, as one text. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT } from "../executable.ts";
import type { Component } from "./components.ts";

const LICENCE_FILE = /^(?:licen[cs]e|copying|notice)/i;

const OPENING = `ctd-decoder includes the software below. Its own source is under the Apache License 2.0.

OpenPGP.js is under the LGPL-3.0-or-later, and JavaScriptCore, a part of the Bun runtime, under the LGPL-2.1-or-later.
Both may be replaced with modified versions: the complete source of ctd-decoder is published with every release.
Change the package below node_modules, or name another runtime, and "npm run build" makes the executable anew.
`;

/** @returns UTF-8 text, components in the order given */
export function noticesOf(components: readonly Component[]): string {
  const parts = components.map(({ name, version, licence, folder }) => {
    const texts = folder === undefined ? [] : licenceTexts(join(PROJECT, folder));
    const body =
      texts.length > 0 ? texts.join("\n\n") : `The package has no licence file. It states: ${licence}`;
    return `${"-".repeat(78)}\n${name} ${version} (${licence})\n\n${body}\n`;
  });
  return [OPENING, ...parts].join("\n");
}

function licenceTexts(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => LICENCE_FILE.test(name));
  return names.sort().map((name) => readFileSync(join(folder, name), "utf8").trim());
}
