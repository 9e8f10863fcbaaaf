import type { Fate } from "./runner.ts";
import { STAGES } from "./tests.ts";

type Counts = Record<Fate | "unjudged", number>;

/** Counts what became of the changes, by room. */
export class Score {
  readonly #rooms = new Map<string, Counts>();

  /** @param file "src/keys/walk.ts" */
  add(file: string, fate: keyof Counts): void {
    const [, room = ""] = file.split("/");
    const counts = this.#rooms.get(room) ?? {
      own: 0,
      room: 0,
      types: 0,
      executable: 0,
      hung: 0,
      survived: 0,
      unjudged: 0,
    };
    counts[fate] += 1;
    this.#rooms.set(room, counts);
  }

  /** Every change was judged, and noticed. */
  get isPerfect(): boolean {
    return [...this.#rooms.values()].every(({ survived, unjudged }) => survived + unjudged === 0);
  }

  /** One line per room. */
  table(): string {
    return [...this.#rooms].map(([room, counts]) => `${room}: ${describe(counts)}\n`).join("");
  }
}

function describe(counts: Counts): string {
  const noticed = STAGES.reduce((sum, stage) => sum + counts[stage], counts.hung);
  const judged = noticed + counts.survived;
  const share = judged === 0 ? "-" : ((100 * noticed) / judged).toFixed(1);
  const by = `${counts.own} by the file's own tests, ${counts.room} by the room's, ${counts.types} by the compiler, ${counts.executable} by the executable's`;
  const rest = `${counts.hung} hung, ${counts.survived} survived, ${counts.unjudged} not judged`;
  return `${judged} changes, ${share} % noticed (${by}, ${rest})`;
}
