// What the table of published ports must show for tsnet: one row for each way in which somebody asks for a port.
//
//   remote host, beyond a router   with routes to all networks of containers, as a router that somebody configured, and
//                                  with 127.0.0.0/8 and ::1 routed to the host, as an attacker on the segment has them
//   for host, loopback, gateway    the host's address on the LAN, 127.0.0.1 and ::1, its address on the network, each with
//                                  the published number
//   for container                  the container's own address and port
//   another network                of the same driver; the other driver: a network of Docker's bridge driver
import { parseRows } from "./publish-table.ts";

/** What must hold for tsnet, TCP and UDP alike, with br_netfilter and without. Empty: there is nothing to ask. */
export const EXPECTED = parseRows(`
| who asks         | for       | published on       | IPv4   | IPv6   |
| ---------------- | --------- | ------------------ | ------ | ------ |
| remote host      | host      | all addresses      | open   | open   |
| beyond a router  | host      | all addresses      | open   | open   |
| the host         | host      | all addresses      | open   | open   |
| the host         | loopback  | all addresses      | open   | open   |
| the host         | container | all addresses      | open   | open   |
| same network     | host      | all addresses      | open   | open   |
| same network     | gateway   | all addresses      | open   | open   |
| the container    | host      | all addresses      | open   | open   |
| the container    | gateway   | all addresses      | open   | open   |
| another network  | host      | all addresses      | open   | open   |
| the other driver | host      | all addresses      | open   | open   |
| docker0          | host      | all addresses      | open   |        |
| remote host      | container | all addresses      | closed | closed |
| beyond a router  | container | all addresses      | closed | closed |
| another network  | container | all addresses      | closed | closed |
| the other driver | container | all addresses      | closed | closed |
| docker0          | container | all addresses      | closed |        |
| remote host      | host      | its address        | open   | open   |
| beyond a router  | host      | its address        | open   | open   |
| the host         | host      | its address        | open   | open   |
| the host         | loopback  | its address        | closed | closed |
| same network     | host      | its address        | open   | open   |
| same network     | gateway   | its address        | closed | closed |
| the container    | host      | its address        | open   | open   |
| another network  | host      | its address        | open   | open   |
| the other driver | host      | its address        | open   | open   |
| docker0          | host      | its address        | open   |        |
| remote host      | container | its address        | closed | closed |
| the host         | loopback  | loopback           | open   | open   |
| the host         | host      | loopback           | closed | closed |
| remote host      | loopback  | loopback           | closed | closed |
| remote host      | host      | loopback           | closed | closed |
| remote host      | container | loopback           | closed | closed |
| beyond a router  | container | loopback           | closed | closed |
| same network     | host      | loopback           | closed | closed |
| same network     | gateway   | loopback           | closed | closed |
| the container    | host      | loopback           | closed | closed |
| another network  | host      | loopback           | closed | closed |
| another network  | container | loopback           | closed | closed |
| the other driver | host      | loopback           | closed | closed |
| the other driver | container | loopback           | closed | closed |
| remote host      | container | nothing            | closed | closed |
| beyond a router  | container | nothing            | closed | closed |
| another network  | container | nothing            | closed | closed |
| the other driver | container | nothing            | closed | closed |
| remote host      | host      | all, IPv4-only     | open   | open   |
| the host         | host      | all, IPv4-only     | open   | open   |
| the host         | loopback  | all, IPv4-only     | open   | open   |
| the container    | host      | all, IPv4-only     | open   |        |
| another network  | host      | all, IPv4-only     | open   | open   |
| remote host      | host      | all, icc=false     | open   | open   |
| the host         | host      | all, icc=false     | open   | open   |
| same network     | host      | all, icc=false     | open   | open   |
| same network     | gateway   | all, icc=false     | open   | open   |
| the container    | host      | all, icc=false     | open   | open   |
| another network  | host      | all, icc=false     | open   | open   |
| same network     | container | all, icc=false     | closed | closed |
| same network     | container | nothing, icc=false | closed | closed |
| remote host      | container | all, icc=false     | closed | closed |
| remote host      | container | all, routed        | open   | open   |
| beyond a router  | container | all, routed        | open   | open   |
| the host         | container | all, routed        | open   | open   |
| another network  | container | all, routed        | open   | open   |
| the other driver | container | all, routed        | open   | open   |
| remote host      | host      | all, routed        | closed | closed |
| remote host      | container | nothing, routed    | closed | closed |
| beyond a router  | container | nothing, routed    | closed | closed |
| another network  | container | nothing, routed    | closed | closed |
`);
