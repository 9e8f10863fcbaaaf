export class Vault {
  constructor(secret: string, log?: string);
  answer(request: Buffer): Buffer;
}
