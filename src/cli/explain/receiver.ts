// A packet comes to a container: by its port into its network namespace, to whoever listens there, and the answer back.
import { bare } from "../words.ts";
import { type Container, type Place, type Way, gatewayOf, linkOfPlace } from "./facts.ts";
import { familyOf, isOnLink, linkWith, listens } from "./machine.ts";
import { type Packet, sayWhat } from "./packet.ts";
import { passPort } from "./port.ts";
import { runHook } from "./rule-run.ts";

/** From the switch to the container of that endpoint. */
export async function arriveAt(way: Way, place: Place, packet: Packet): Promise<void> {
  passPort(way, place);
  const container = await way.facts.openContainer(place.endpoint);
  if (container === undefined) {
    const what = `what is behind ${place.endpoint.hostLink} Docker does not say, so that it was not looked into`;
    return way.trace.pass("receiver", "known", what);
  }
  await receive(way, container, packet, place);
}

/** In the container. @param place - by which it came; absent for what it sends to itself. */
export async function receive(way: Way, container: Container, packet: Packet, place?: Place): Promise<void> {
  const { trace, facts } = way;
  const { name, machine, enter } = container;
  if (machine === undefined) return trace.stop("receiver", "probed", `${name} does not run`, `docker start ${name}`);
  const before = trace.hops.length;
  const link = place === undefined ? undefined : linkOfPlace(facts, machine, place);
  if (place !== undefined && link === undefined) {
    trace.stop("receiver", "probed", `${name} has no link of network ${place.network.name} any more`);
  }
  if (link?.isUp === false) {
    trace.stop("receiver", "probed", `link ${link.name} of ${name} is down`, `${enter} ip link set ${link.name} up`);
  }
  if (place !== undefined && link !== undefined && link.mac !== place.endpoint.mac) {
    const what = `link ${link.name} of ${name} has the MAC ${link.mac}, and tsnet gave out ${place.endpoint.mac}`;
    trace.stop("receiver", "probed", what, `${enter} ip link set ${link.name} address ${place.endpoint.mac}`);
  }
  const hasAddress = linkWith(machine, packet.destination) !== undefined;
  if (!hasAddress) {
    const recorded = place?.endpoint.addresses.find((each) => bare(each) === packet.destination) ?? packet.destination;
    const fix = link && `${enter} ip address add ${recorded} dev ${link.name}`;
    trace.stop("receiver", "probed", `${name} has not the address ${packet.destination}`, fix);
  }
  const inside = { ...packet, ...(link !== undefined && { inLink: link.name }) };
  const { verdict, by, fix } = runHook(machine, "input", inside, familyOf(packet.destination));
  if (verdict === "drop")
    trace.stop("receiver", "probed", `${name}'s own rules drop it: ${by}`, fix && `${enter} ${fix}`);
  if (packet.port !== undefined) checkService(way, container, packet, packet.port);
  else if (trace.hops.length === before) trace.pass("receiver", "probed", `${name} gets it`);
  if (place !== undefined && hasAddress) await checkAnswer(way, container, place, packet.source);
}

function checkService({ trace }: Way, { name, machine }: Container, packet: Packet, port: number): void {
  if (machine === undefined) return;
  const { destination, protocol } = packet;
  if (listens(machine, protocol, port, destination)) {
    return trace.pass("receiver", "probed", `${name} listens on ${sayWhat({ port, protocol })}`);
  }
  const others = machine.sockets.filter((socket) => socket.protocol === protocol && socket.port === port);
  const only = others.length === 0 ? "" : `, only on ${others.map(({ address }) => address).join(", ")}`;
  trace.stop(
    "receiver",
    "probed",
    `nobody in ${name} listens on ${sayWhat({ port, protocol })} of ${destination}${only}`,
  );
}

/** Whether the container has a way back to the one who asked. */
async function checkAnswer({ trace, facts }: Way, container: Container, place: Place, to: string): Promise<void> {
  const { name, enter, machine } = container;
  const link = machine && linkOfPlace(facts, machine, place);
  if (machine === undefined || link === undefined || !link.isUp || isOnLink(link, to)) return;
  const route = await machine.findRoute({ to });
  if (typeof route !== "string") {
    return trace.pass(
      "answer",
      "probed",
      `${name} answers ${to} by link ${route.link}${route.via ? ` to ${route.via}` : ""}`,
    );
  }
  const gateway = gatewayOf(facts, place.network, familyOf(to));
  const fix = gateway && `${enter} ip route add default via ${gateway.address}`;
  trace.stop("answer", "probed", `${name} has no route back to ${to} (${route})`, fix);
}
