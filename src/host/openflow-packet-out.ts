// A frame that a switch sends for its controller: OFPT_PACKET_OUT (OpenFlow 1.3 and 1.4, 7.3.7).
import { encodeActions } from "./openflow-actions.ts";

/** OFPP_CONTROLLER: it came by no port. OFP_NO_BUFFER: it is in the message. */
const [CONTROLLER, NO_BUFFER] = [0xfffffffd, 0xffffffff];

/** A frame, and where it leaves. */
export interface PacketOut {
  /** From the destination's MAC address on, without checksum at the end. */
  readonly frame: Buffer;
  /** OpenFlow port numbers. */
  readonly ports: readonly number[];
}

/** What follows the header of the message. */
export function encodePacketOut({ frame, ports }: PacketOut): Buffer {
  const actions = encodeActions(ports.map((port) => ({ kind: "output", port })));
  const fixed = Buffer.alloc(16);
  fixed.writeUInt32BE(NO_BUFFER, 0);
  fixed.writeUInt32BE(CONTROLLER, 4);
  fixed.writeUInt16BE(actions.length, 8);
  return Buffer.concat([fixed, actions, frame]);
}
