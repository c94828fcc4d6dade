// Holds the published ports of endpoints: every one is a socket of this process that listens (tcp, sctp) or is bound (udp),
// so the kernel itself keeps other programs, other containers and Docker's own bridge off it, and tells us of theirs. What
// reaches such a socket, since no rule translated it, is relayed to the container (`relay.ts`).
//
//   host address     sockets
//   (empty)          0.0.0.0 and [::], each for its family alone, both with the same number
//   an address       that one; 0.0.0.0 and [::] too are one family each
import { isIPv6 } from "node:net";
import type { EndpointId } from "../cnm/endpoint.ts";
import type { PortBinding, PortHolder, PortProtocol, PublishedPort, RelayTarget } from "../cnm/ports.ts";
import { TsnetError } from "../errors.ts";
import { KeyedLock } from "../keyed-lock.ts";
import { type WantedPort, allFailures, isRefusal, noneFree, portError } from "./port-errors.ts";
import { listenSctp } from "./relay-sctp.ts";
import { listenTcp } from "./relay-tcp.ts";
import { listenUdp } from "./relay-udp.ts";
import { type ListenRelay, type Relay, RelayGate, type RelayRules } from "./relay.ts";

/** How relays of each protocol are opened. */
export type RelayListeners = Readonly<Record<PortProtocol, ListenRelay>>;

const LISTENERS: RelayListeners = { tcp: listenTcp, udp: listenUdp, sctp: listenSctp };

const ANY = ["0.0.0.0", "::"] as const;

/** The order in which bindings choose (`choiceOf`); a range has its last number there. */
const NO_CHOICE = 0;
const ANY_NUMBER = 65_536;

/** How often the kernel is asked for a number that turns out to be taken in the other family. */
const EPHEMERAL_ATTEMPTS = 50;

/** What one endpoint holds; `ports` are told only when all of its bindings are held. */
interface Holding {
  readonly endpointId: EndpointId;
  readonly target: RelayTarget;
  readonly relays: Relay[];
  ports: readonly PublishedPort[];
}

/** The ports of this host's network namespace. `close` it, or its sockets keep the process alive. */
export class HostPorts implements PortHolder {
  readonly #gate: RelayGate;
  readonly #listeners: RelayListeners;
  readonly #holdings = new Map<EndpointId, Holding>();
  readonly #endpointLocks = new KeyedLock();
  /** By protocol and number, so that who holds one is known when somebody else fails to get it. */
  readonly #numberLocks = new KeyedLock();
  #isClosed = false;

  /** @param listeners - other ones in tests of what this kernel cannot show. */
  constructor(rules: RelayRules, listeners: RelayListeners = LISTENERS) {
    this.#gate = new RelayGate(rules);
    this.#listeners = listeners;
  }

  async hold(
    endpointId: EndpointId,
    bindings: readonly PortBinding[],
    target: RelayTarget,
  ): Promise<readonly PublishedPort[]> {
    return this.#endpointLocks.run(endpointId, async () => {
      if (this.#isClosed) throw new TsnetError("unavailable", "no port is held any more: tsnet is shutting down");
      if (this.#holdings.has(endpointId)) {
        throw new TsnetError("conflict", `endpoint ${endpointId} holds ports already: release them first`);
      }
      const holding: Holding = { endpointId, target, relays: [], ports: [] };
      this.#holdings.set(endpointId, holding);
      try {
        holding.ports = await this.#holdAll(holding, bindings);
        return holding.ports;
      } catch (failure) {
        await this.#end(endpointId);
        throw failure;
      }
    });
  }

  async release(endpointId: EndpointId): Promise<void> {
    await this.#endpointLocks.run(endpointId, () => this.#end(endpointId));
  }

  heldBy(endpointId: EndpointId): readonly PublishedPort[] {
    return this.#holdings.get(endpointId)?.ports ?? [];
  }

  /** Frees all ports and cuts everything that is relayed. Nothing is held afterwards. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#holdings.keys()].map((endpointId) => this.release(endpointId)));
  }

  async #end(endpointId: EndpointId): Promise<void> {
    const holding = this.#holdings.get(endpointId);
    await closeAll(holding?.relays ?? []);
    this.#holdings.delete(endpointId);
  }

  /** Those with the least choice first, so that no free choice takes the number that another binding names. */
  async #holdAll(holding: Holding, bindings: readonly PortBinding[]): Promise<readonly PublishedPort[]> {
    const numbers = new Map<number, number>();
    const failures: unknown[] = [];
    for (const [index, binding] of [...bindings.entries()].toSorted(([, a], [, b]) => choiceOf(a) - choiceOf(b))) {
      try {
        numbers.set(index, await this.#holdOne(holding, binding));
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length > 0) throw allFailures(failures);
    return bindings.map(({ protocol, containerPort, hostAddress }, index) => {
      return { protocol, containerPort, hostAddress, hostPort: numbers.get(index) ?? 0 };
    });
  }

  /** @returns the first number of the binding that is free on all of its addresses. */
  async #holdOne(holding: Holding, binding: PortBinding): Promise<number> {
    const rejected: Relay[] = [];
    let failure: unknown;
    try {
      for (const port of candidatesOf(binding)) {
        try {
          const open = () => this.#open(holding, binding, port, rejected);
          return await this.#numberLocks.run(`${binding.protocol}/${port}`, open);
        } catch (cause) {
          if (!isRefusal(cause, "EADDRINUSE")) throw cause;
          failure = cause;
        }
      }
      throw choiceOf(binding) === NO_CHOICE ? failure : noneFree(binding, failure);
    } finally {
      await closeAll(rejected);
    }
  }

  /**
   * Opens all sockets of one binding or none.
   *
   * @param port - 0: the kernel chooses, for the first socket.
   * @param rejected - gets sockets with a number of the kernel's choice that did not do, lest it choose that again: with
   * SO_REUSEADDR it looks for a free number in half of them only (net/ipv4/inet_connection_sock.c, attempt_half).
   */
  async #open(holding: Holding, binding: PortBinding, port: number, rejected: Relay[]): Promise<number> {
    const { protocol, containerPort, hostAddress } = binding;
    const { endpointId, target } = holding;
    const relays: Relay[] = [];
    let hostPort = port;
    for (const address of hostAddress === "" ? ANY : [hostAddress]) {
      try {
        const relay = await this.#listeners[protocol]({ address, hostPort, containerPort, target }, this.#gate);
        relays.push(relay);
        hostPort = relay.hostPort;
      } catch (failure) {
        if (relays.length > 0 && isRefusal(failure, "EAFNOSUPPORT")) continue; // a host without IPv6
        if (port === 0) rejected.push(...relays);
        else await closeAll(relays);
        const wanted = { protocol, address, port: hostPort };
        throw portError(failure, wanted, endpointId, this.#ownerOf(wanted));
      }
    }
    holding.relays.push(...relays);
    return hostPort;
  }

  #ownerOf({ protocol, address, port }: WantedPort): EndpointId | undefined {
    const isInTheWay = (relay: Relay) =>
      relay.protocol === protocol && relay.hostPort === port && overlaps(relay.address, address);
    return [...this.#holdings.values()].find(({ relays }) => relays.some(isInTheWay))?.endpointId;
  }
}

/** How late a binding may choose: one number before a range, ranges by their end, any number last. */
function choiceOf({ hostPort, hostPortEnd }: PortBinding): number {
  if (hostPort === 0) return ANY_NUMBER;
  return hostPortEnd > hostPort ? hostPortEnd : NO_CHOICE;
}

/** The numbers to try; 0 where the kernel chooses, then another one each time. */
function candidatesOf({ hostPort, hostPortEnd }: PortBinding): readonly number[] {
  if (hostPort === 0) return Array.from({ length: EPHEMERAL_ATTEMPTS }, () => 0);
  return Array.from({ length: Math.max(hostPortEnd - hostPort, 0) + 1 }, (_, i) => hostPort + i);
}

async function closeAll(relays: readonly Relay[]): Promise<void> {
  await Promise.all(relays.map((relay) => relay.close()));
}

function overlaps(a: string, b: string): boolean {
  const isAny = (address: string) => ANY.some((any) => any === address);
  return isIPv6(a) === isIPv6(b) && (a === b || isAny(a) || isAny(b));
}
