/** An event as a page gets it. */
export interface StreamEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/** Reads an event stream as the HTML standard has it (section 9.2.6), as it comes. It shares no code with what it reads. */
export class EventStream {
  readonly events: StreamEvent[] = [];
  readonly retries: number[] = [];
  private readonly decoder = new TextDecoder();
  private line = '';
  private follows = '';
  private type = '';
  private data = '';
  private id = '';
  private lastEventId = '';

  read(bytes: Uint8Array): void {
    for (const character of this.decoder.decode(bytes, { stream: true })) {
      if (character === '\n' && this.follows === '\r') {
        this.follows = '';
        continue;
      }
      this.follows = character;
      if (character !== '\n' && character !== '\r') this.line += character;
      else {
        this.take(this.line);
        this.line = '';
      }
    }
  }

  private take(line: string): void {
    if (line === '') {
      this.dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value.startsWith(' ')) value = value.slice(1);
    if (field === 'event') this.type = value;
    else if (field === 'data') this.data += `${value}\n`;
    else if (field === 'id' && !value.includes('\0')) this.id = value;
    else if (field === 'retry' && /^[0-9]+$/.test(value)) this.retries.push(Number(value));
  }

  private dispatch(): void {
    this.lastEventId = this.id;
    const { data, type } = this;
    this.data = '';
    this.type = '';
    if (data === '') return;
    this.events.push({ type: type || 'message', data: data.slice(0, -1), lastEventId: this.lastEventId });
  }
}
