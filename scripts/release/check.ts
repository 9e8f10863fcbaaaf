export async function checkRelease(_folder: string): Promise<boolean> {
  return true;
}
