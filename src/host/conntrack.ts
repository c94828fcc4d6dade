// The flows that the kernel tracks, listed and deleted by ctnetlink: what conntrack(8) does, without a process. The messages
// are in `conntrack-flow.ts`, the queue and the errors in `netlink-socket.ts`.
import { type Flow, type WantedFlows, flowFilter, flowParts, parseFlow, wantedParts } from "./conntrack-flow.ts";
import { isErrno } from "./netlink.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "./netlink-socket.ts";
import { NFNL_SUBSYS, nfMessageType } from "./nfnetlink.ts";

export type { Flow, FlowTuple, WantedFlows } from "./conntrack-flow.ts";

/** Message types (include/uapi/linux/netfilter/nfnetlink_conntrack.h, enum cntl_msg_types). */
const IPCTNL_MSG_CT = {
  GET: nfMessageType(NFNL_SUBSYS.CTNETLINK, 1),
  DELETE: nfMessageType(NFNL_SUBSYS.CTNETLINK, 2),
} as const;

/**
 * The tracked flows of the network namespace in which it was opened, those of the default zone.
 *
 * Every method throws TsnetError `host` with the kernel's own words when the kernel refuses, and `unavailable` when it does
 * not answer within 5 s.
 */
export class Conntrack implements Disposable {
  readonly #socket: NetlinkSocket;

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** @throws TsnetError `host`. */
  static open(): Conntrack {
    return new Conntrack(NetlinkSocket.open(NETLINK_NETFILTER));
  }

  /** Refuses further calls; those under way still end. */
  close(): void {
    void this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * The flows that are as wanted, ordered by nothing in particular. Flows come and go meanwhile: one that lasts is there,
   * and sometimes twice.
   *
   * @throws TsnetError `invalid` for text that is no address of the family.
   */
  async listFlows(wanted: WantedFlows): Promise<Flow[]> {
    const isWanted = flowFilter(wanted);
    const request = { type: IPCTNL_MSG_CT.GET, parts: wantedParts(wanted) };
    const messages = await this.#socket.dump("list tracked flows", request, ({ payload }) => isWanted(payload));
    return messages.flatMap(({ payload }) => parseFlow(payload) ?? []);
  }

  /** Forgets one flow: its next packet is looked at as that of a new one. That it is gone already is success. */
  async deleteFlow(flow: Flow): Promise<void> {
    const { source, sourcePort, destination, destinationPort } = flow.original;
    const doing = `delete the flow from ${source} port ${sourcePort} to ${destination} port ${destinationPort}`;
    try {
      await this.#socket.request(doing, { type: IPCTNL_MSG_CT.DELETE, parts: flowParts(flow) });
    } catch (failure) {
      if (!isErrno(failure, "ENOENT")) throw failure;
    }
  }
}
