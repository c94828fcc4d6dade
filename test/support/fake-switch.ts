// A switch that says what a test wants it to say, on a unix socket in a folder of its own. It cuts the client's bytes into
// messages by their lengths and knows nothing else of OpenFlow.
import { mkdtempSync, rmSync } from "node:fs";
import { type Server, type Socket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the switch does with a message. @param hex - all of it. */
export type SwitchScript = (
  message: { readonly type: number; readonly xid: string; readonly hex: string },
  socket: Socket,
) => void;

/** Accepts any number of clients. For `await using`. */
export class FakeSwitch implements AsyncDisposable {
  /** Everything that clients sent, message by message, in hexadecimal digits. */
  readonly received: string[] = [];
  readonly sockets: Socket[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "tsnet-fake-switch-"));
  readonly #server: Server;
  script: SwitchScript;

  private constructor(script: SwitchScript) {
    this.script = script;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async started(script: SwitchScript): Promise<FakeSwitch> {
    const fake = new FakeSwitch(script);
    await new Promise<void>((resolve) => fake.#server.listen(fake.#path, resolve));
    return fake;
  }

  get #path(): string {
    return join(this.#folder, "br0.mgmt");
  }

  get address(): string {
    return `unix:${this.#path}`;
  }

  /** Sends bytes to all clients. */
  send(hex: string): void {
    for (const socket of this.sockets) socket.write(bytes(hex));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #accept(socket: Socket): void {
    this.sockets.push(socket);
    let rest = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 8 && rest.length >= rest.readUInt16BE(2)) {
        const message = rest.subarray(0, rest.readUInt16BE(2));
        rest = rest.subarray(message.length);
        const hex = message.toString("hex");
        this.received.push(hex);
        this.script({ type: message.readUInt8(1), xid: hex.slice(8, 16), hex }, socket);
      }
    });
  }
}

/** Digits with spaces between them, as bytes. */
export function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ""), "hex");
}
