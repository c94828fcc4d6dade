// The client against a small HTTP server on a socket.
import { type RequestListener, createServer } from "node:http";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createRawServer } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DaemonClient, findSocket } from "../../../src/cli/daemon-client.ts";
import type { TsnetError } from "../../../src/errors.ts";
import { endpointId, networkId } from "../../support/cnm-builder.ts";

const IDS = { NetworkID: networkId(), EndpointID: endpointId() };

let folder = "";
let count = 0;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "tsnet-client-"))));
afterAll(async () => await rm(folder, { recursive: true }));

/** A client of a server that answers so. @param limitMs - how long the client waits; default: its own limit. */
async function clientOf(answer: RequestListener, limitMs?: number) {
  const path = join(folder, `${(count += 1)}.sock`);
  const server = createServer(answer);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(path, resolve);
  await promise;
  return { path, client: new DaemonClient(path, limitMs), [Symbol.dispose]: () => void server.close() };
}

const answering =
  (status: number, body: string): RequestListener =>
  (_request, response) =>
    void response.writeHead(status).end(body);

async function refusalOf(work: Promise<unknown>): Promise<TsnetError> {
  return await work.then(
    () => Promise.reject(new Error("it was not refused")),
    (failure: TsnetError) => failure,
  );
}

describe("DaemonClient", () => {
  it("reads what the daemon says", async () => {
    const seen: string[] = [];
    using daemon = await clientOf((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.end('{"version":"1","networks":[],"isComplete":true}');
    });

    expect(await daemon.client.read("/status")).toEqual({ version: "1", networks: [], isComplete: true });
    expect(seen).toEqual(["GET /status"]);
  });

  it("has it do something, with a message as JSON", async () => {
    const seen: string[] = [];
    using daemon = await clientOf((request, response) => {
      void text(request).then((message) => {
        seen.push(`${request.method} ${request.url} ${message}`);
        response.end('{"WasAttached":true}');
      });
    });

    expect(await daemon.client.call("Operator.Detach", IDS)).toEqual({ WasAttached: true });
    expect(seen).toEqual([`POST /Operator.Detach ${JSON.stringify(IDS)}`]);
  });

  it.each([
    ["a refusal in an answer of 200, as of a verb", 200, '{"Err":"vlan 5000 is outside 1-4094"}', "vlan 5000"],
    ["the reason in an answer of 503", 503, '{"Err":"tsnet is still recovering"}', "tsnet is still recovering"],
    ["the number of an answer without a reason", 500, "{}", "HTTP 500"],
  ])("fails with %s", async (_what, status, body, message) => {
    using daemon = await clientOf(answering(status, body));

    const refusal = await refusalOf(daemon.client.call("Operator.Detach", IDS));

    expect(refusal.code).toBe("unavailable");
    expect(refusal.message).toMatch(new RegExp(`^${message}`));
  });

  it("says of a daemon that knows no such path that it is older, and what to do", async () => {
    using daemon = await clientOf(answering(404, '{"Err":"tsnet does not implement /pools"}'));

    const refusal = await refusalOf(daemon.client.read("/pools"));

    expect(refusal).toMatchObject({ code: "unsupported" });
    expect(refusal.message).toMatch(
      /^the tsnet on .*\.sock does not know \/pools: it is older than this command; upgrade the plugin, or start it anew$/,
    );
  });

  it.each([
    ["a page", "<html></html>"],
    ["no object", "null"],
    ["a number", "7"],
    ["nothing", ""],
  ])("says of %s that this is not tsnet", async (_what, body) => {
    using daemon = await clientOf(answering(200, body));

    expect((await refusalOf(daemon.client.read("/status"))).message).toMatch(
      /^what answers on .*\.sock is not tsnet: HTTP 200$/,
    );
  });

  it("says where there is no socket, what starts the daemon, and how to name another", async () => {
    const refusal = await refusalOf(new DaemonClient(join(folder, "none.sock")).read("/status"));

    expect(refusal.code).toBe("unavailable");
    expect(refusal.message).toMatch(
      /^no tsnet answers on .*\/none\.sock: there is no such socket; `docker plugin enable` or `tsnet serve` starts it, --socket or TSNET_SOCKET names another one$/,
    );
  });

  it("says that nobody listens on a socket that was left behind", async () => {
    const path = join(folder, "left.sock");
    const server = createRawServer();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(path, resolve);
    await promise;
    await rename(path, `${path}.kept`); // closing removes the name under which it was made
    server.close();

    expect((await refusalOf(new DaemonClient(`${path}.kept`).read("/status"))).message).toContain(
      "nobody listens on it; `docker plugin enable` or `tsnet serve` starts it",
    );
  });

  it("says so when the daemon breaks off", async () => {
    using daemon = await clientOf((_request, response) => void response.destroy());

    expect((await refusalOf(daemon.client.read("/status"))).message).toMatch(
      /^no tsnet answers on .*: socket hang up$/,
    );
  });
});

describe("DaemonClient, of a daemon that hangs", () => {
  it.each<[string, RequestListener]>([
    ["that never answers", () => {}],
    ["that stops in the middle of its answer", (_request, response) => void response.write('{"version"')],
  ])("says of one %s how long it has waited", async (_what, answer) => {
    using daemon = await clientOf(answer, 50);

    const refusal = await refusalOf(daemon.client.read("/status"));

    expect(refusal).toMatchObject({ code: "unavailable" });
    expect(refusal.message).toMatch(/^no tsnet answers on .*\.sock: not within 0\.05 s$/);
  });
});

describe("DaemonClient, following events", () => {
  const collect = async (client: DaemonClient, signal = new AbortController().signal) => {
    const lines: object[] = [];
    for await (const line of client.follow("/events", signal)) lines.push(line);
    return lines;
  };

  it("hands over each line when it is complete, and ends with the stream", async () => {
    using daemon = await clientOf((_request, response) => {
      response.write('{"kind":"st');
      setImmediate(() => response.end('art"}\n{"kind":"end","reason":"é"}\n'));
    });

    expect(await collect(daemon.client)).toEqual([{ kind: "start" }, { kind: "end", reason: "é" }]);
  });

  it("ends without a word when it is told to", async () => {
    const controller = new AbortController();
    using daemon = await clientOf((_request, response) => void response.write('{"kind":"start"}\n'));

    const lines: object[] = [];
    for await (const line of daemon.client.follow("/events", controller.signal)) {
      lines.push(line);
      controller.abort();
    }

    expect(lines).toEqual([{ kind: "start" }]);
  });

  it.each([
    ["an older daemon", answering(404, "{}"), "does not know /events: it is older than this command"],
    ["one that is listened to enough", answering(503, '{"Err":"16 listen already"}'), "16 listen already"],
    ["what is not tsnet", answering(200, "<html>\n"), "no tsnet answers on"],
  ])("says what is wrong with %s", async (_what, answer, message) => {
    using daemon = await clientOf(answer);

    expect((await refusalOf(collect(daemon.client))).message).toContain(message);
  });

  it("fails when the daemon breaks off", async () => {
    using daemon = await clientOf((_request, response) => {
      response.write('{"kind":"start"}\n');
      setImmediate(() => response.destroy());
    });

    expect((await refusalOf(collect(daemon.client))).message).toMatch(/^no tsnet answers on .*: aborted$/);
  });
});

describe("findSocket", () => {
  it("takes the one that is named", () => {
    expect(findSocket("/run/other.sock", folder)).toBe("/run/other.sock");
  });

  it("else that of the usual place, else that in the plugin's own folder, else says the usual place", async () => {
    const usual = join(folder, "plugins/tsnet.sock");
    const own = join(folder, "plugins/0123abcd/tsnet.sock");
    expect(findSocket(undefined, usual)).toBe(usual);

    await mkdir(join(folder, "plugins/0123abcd"), { recursive: true });
    await writeFile(own, "");
    expect(findSocket("", usual)).toBe(own);

    await writeFile(usual, "");
    expect(findSocket(undefined, usual)).toBe(usual);
  });
});
