/** A TCP connection's path to a server; see link.mjs. */
export class Link {
  private constructor();
  static to(target: number, delayMs?: number): Promise<Link>;
  readonly port: number;
  cut(): void;
  cutOff(address: string): void;
  deafen(): void;
  mute(): void;
  silence(): void;
  lead(target: number): void;
  mend(): void;
  sever(): void;
  close(): Promise<void>;
}
