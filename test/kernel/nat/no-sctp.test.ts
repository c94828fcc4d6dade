// Published sctp ports on a kernel that has no such protocol. Where it has, `test/vm` says what holds.
import { describe, expect, it } from "vitest";
import { closeSocket } from "../../../src/host/libc.ts";
import { openSctp } from "../../../src/host/sctp.ts";
import { SILENT_LOG } from "../../../src/log.ts";
import { HostPorts } from "../../../src/nat/port-holder.ts";
import { endpointId } from "../../support/cnm-builder.ts";
import { closing } from "../../support/relay-peers.ts";
import { expectedSkip } from "../../support/suite-count.ts";

function hasSctp(): boolean {
  try {
    closeSocket(openSctp(4));
    return true;
  } catch {
    return false;
  }
}

describe("published sctp ports", () => {
  it("are refused on a kernel without sctp, with the module to load [F84]", async (context) => {
    if (hasSctp()) expectedSkip(context, "this kernel has sctp");
    await using ports = closing(new HostPorts({ isRefused: () => false, log: SILENT_LOG }));
    const binding = {
      protocol: "sctp",
      containerPort: 80,
      hostAddress: "127.0.0.1",
      hostPort: 8080,
      hostPortEnd: 8080,
    } as const;

    await expect(ports.hold(endpointId(), [binding], {})).rejects.toMatchObject({
      code: "unsupported",
      message: "port 8080/sctp on 127.0.0.1 cannot be held: this host's kernel has no sctp (module sctp)",
    });
  });
});
