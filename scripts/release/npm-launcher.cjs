#!/usr/bin/env node
// Starts the executable for this platform. npm installs only this one, because it is in an optional dependency.
const { spawn } = require("node:child_process");
const { existsSync } = require("node:fs");

const LIBRARIES = ["", "-musl"];

function executable() {
  for (const library of LIBRARIES) {
    try {
      return require.resolve(`@ctd-decoder/linux-${process.arch}${library}/ctd-decoder`);
    } catch {
      // This package is for the other C library.
    }
  }
  return undefined;
}

const path = process.platform === "linux" ? executable() : undefined;
if (path === undefined || !existsSync(path)) {
  process.stderr.write(
    `ctd-decoder: error: there is no executable for ${process.platform}-${process.arch}\n` +
      "ctd-decoder: hint: it runs on Linux x64 and arm64; install without --omit=optional\n",
  );
  process.exit(1);
}
const child = spawn(path, process.argv.slice(2), { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  process.stderr.write(`ctd-decoder: error: can't start ${path}: ${error.code}\n`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal !== null) process.kill(process.pid, signal);
  else process.exit(code);
});
