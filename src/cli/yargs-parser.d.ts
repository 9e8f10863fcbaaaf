declare module "yargs-parser/browser" {
  /** yargs' parser without the modules of Node that would read configuration files. Loading those takes longer than parsing. */
  const parser: import("yargs-parser").Parser;
  export default parser;
}
