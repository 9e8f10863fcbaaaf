import { judgeAll } from "./verdicts.ts";

process.stdout.write(JSON.stringify(await judgeAll()));
