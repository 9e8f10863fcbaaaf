/** How `bun build` makes an executable of ours: what starts soonest, and obeys nothing but its own code. */
export const COMPILE_FLAGS: readonly string[] = [
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  // Otherwise a file in the working directory is read, and a bunfig.toml's preload executed.
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  // A layer is done before compiled code repays its compiler's thread; what runs for long is compiled later all the same.
  "--compile-jit-policy=10",
];
