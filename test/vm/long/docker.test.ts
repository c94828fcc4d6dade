// A real Docker Engine on the kernel of the virtual machine, in a lab as on the machine itself: what the system tests need.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TEST_IMAGE } from "../../support/image.ts";
import { LabHost } from "../../support/lab-host.ts";
import { waitUntil } from "../../support/wait-until.ts";

const SCTP_CLIENT = join(import.meta.dirname, "../../support/sctp-echo-client.ts");
const SCTP_SERVER = join(import.meta.dirname, "../../support/sctp-echo-server.ts");

describe("a Docker Engine in the virtual machine", () => {
  let lab: LabHost;
  beforeAll(async () => {
    lab = await LabHost.up();
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  it("publishes an SCTP port of its own bridge network to a neighbour", async () => {
    await using neighbour = await lab.addNeighbour();
    await lab.docker("run", "-d", "--name", "one", "-p", "9:9/sctp", TEST_IMAGE);
    const pid = await lab.docker("inspect", "--format", "{{.State.Pid}}", "one");
    const echo = [process.execPath, SCTP_SERVER, "9"];
    const server = await lab.namespace.spawn("sctp", ["nsenter", "-t", pid, "-n", "--", ...echo]);
    await waitUntil("the echo to listen", () => server.log().split("\n").length > 2, { limitMs: 60_000 });

    const answer = await neighbour.exec([process.execPath, SCTP_CLIENT, "192.0.2.10", "9"]);

    expect(answer).toBe(neighbour.address);
  });
});
