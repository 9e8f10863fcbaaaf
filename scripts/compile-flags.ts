/** Flags with which `bun build` makes an executable that starts fast and reads no configuration of Bun. */
export const COMPILE_FLAGS: readonly string[] = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  // Otherwise it would read files in the working directory, and run a preload from bunfig.toml.
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  // A small layer ends before compiled code would repay the compiler's thread. Long runs still get compiled code later.
  "--compile-jit-policy=10",
  // Each lazily imported part becomes a file of its own inside the executable. Unused, it costs nothing at start.
  "--splitting",
  // src/process/files.ts uses functions that Bun keeps for itself.
  "--compile-exec-argv=--expose-internals",
  // In development mode OpenPGP.js prints to stdout, which is the layer. Bun's default is development.
  '--define=process.env.NODE_ENV="production"',
  // Packages that read __dirname would otherwise store the builder's folder in the executable.
  '--define=__dirname="/"',
];
