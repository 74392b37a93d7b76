/** WebSockets that open to nowhere: tests say what arrives on them. */

export class TestSocket {
  onmessage: ((message: MessageEvent<unknown>) => void) | null = null;
  onclose: (() => void) | null = null;
  isClosed = false;
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  close(): void {
    this.isClosed = true;
  }

  /** The server says something. */
  say(frame: unknown): void {
    this.onmessage?.({
      data: typeof frame === 'string' ? frame : JSON.stringify(frame),
    } as MessageEvent<unknown>);
  }

  /** The server, or the network, ends it. */
  drop(): void {
    this.onclose?.();
  }
}

export class TestSockets {
  readonly opened: TestSocket[] = [];

  open = (url: string): WebSocket => {
    const socket = new TestSocket(url);
    this.opened.push(socket);
    return socket as unknown as WebSocket;
  };

  get latest(): TestSocket {
    const socket = this.opened.at(-1);
    if (!socket) throw new Error('no socket was opened');
    return socket;
  }
}
