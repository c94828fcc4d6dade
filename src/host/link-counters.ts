// What passed the links of this host, all of them by one read. Follows proc_pid_net(5), /proc/net/dev, and
// net/core/net-procfs.c of Linux: two lines of head, then a line for each link of the network namespace of this process.
import { readFile } from "node:fs/promises";
import { TsnetError, messageOf } from "../errors.ts";

/** What a link has received and transmitted since it was made, as the host sees it. */
export interface LinkCounters {
  readonly receiveBytes: number;
  readonly receivePackets: number;
  readonly receiveDropped: number;
  readonly transmitBytes: number;
  readonly transmitPackets: number;
  readonly transmitDropped: number;
}

/** The columns, as the head names them: those of one direction, then those of the other. */
const HEAD = [
  "Inter-|   Receive                                                |  Transmit",
  " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed",
] as const;

/** A name has neither colons nor white space (net/core/dev.c, dev_valid_name); after it come 16 numbers of 64 bits. */
const LINE = /^\s*([^\s:]{1,15}):\s*(\d{1,20}(?:\s+\d{1,20}){15})\s*$/;

/**
 * Reads them all.
 *
 * @param path - another file in tests. `/proc/net` leads to the namespace of the thread group's leader, which never changes it.
 * @returns by the links' names. Numbers above 2^53 lose their last digits.
 * @throws TsnetError `host` if it cannot be read, or is not as it should be.
 */
export async function readLinkCounters(path = "/proc/self/net/dev"): Promise<ReadonlyMap<string, LinkCounters>> {
  const text = await readFile(path, "utf8").catch((failure: unknown) => {
    throw new TsnetError("host", `cannot read the counters of links: ${messageOf(failure)}`, { cause: failure });
  });
  return parseLinkCounters(text);
}

/** @throws TsnetError `host` for a text of another form. */
export function parseLinkCounters(text: string): ReadonlyMap<string, LinkCounters> {
  const lines = text.split("\n");
  if (lines.at(-1) !== "") throw malformed("its last line is cut");
  const isKnown = HEAD.every((head, at) => lines[at] === head);
  if (!isKnown) throw malformed("its columns are others");
  return new Map(lines.slice(HEAD.length, -1).map(parseLine));
}

function parseLine(line: string): [string, LinkCounters] {
  const [, name, numbers] = LINE.exec(line) ?? [];
  if (name === undefined || numbers === undefined) throw malformed(`a line is ${JSON.stringify(line.slice(0, 200))}`);
  const columns = numbers.split(/\s+/).map(Number);
  const column = (at: number) => columns[at] ?? 0; // there are 16
  const received = { receiveBytes: column(0), receivePackets: column(1), receiveDropped: column(3) };
  const transmitted = { transmitBytes: column(8), transmitPackets: column(9), transmitDropped: column(11) };
  return [name, { ...received, ...transmitted }];
}

function malformed(why: string): TsnetError {
  return new TsnetError(
    "host",
    `cannot read the counters of links: /proc/net/dev has another form than expected: ${why}`,
  );
}
