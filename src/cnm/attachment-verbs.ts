// Attach and Detach of the operator's command: an endpoint as the engine would make it, with an address that tsnet chooses
// itself, and a record that keeps it when its namespace goes. What happens inside of the namespace is the command's.
import { isDeepStrictEqual } from "node:util";
import { formatAddress, formatSubnet, parseAddress, parseSubnet } from "../cidr.ts";
import { TsnetError, inContext, messageOf } from "../errors.ts";
import { withUndo } from "../undo.ts";
import { type AddressContext, takeAddress } from "./attachment-address.ts";
import type { Attach, Attached, Attachment, AttachmentDriver } from "./attachment.ts";
import type { Endpoint, EndpointRef } from "./endpoint.ts";
import { EndpointVerbs } from "./endpoint-verbs.ts";
import { isNextHop } from "./join-result.ts";
import { parseIfName } from "./names.ts";
import type { Network, StaticRoute } from "./network.ts";
import type { CnmParts } from "./parts.ts";
import { bareAddress } from "./plan.ts";
import { planEndpoint } from "./plan-endpoint.ts";
import { type EndpointRecord, short } from "./registry.ts";
import { Removal } from "./removal.ts";
import type { CreateEndpoint, JoinResult } from "./requests.ts";

type Addresses = Pick<Endpoint, "address" | "addressIpv6">;

type Taken = { -readonly [Key in keyof Addresses]: Addresses[Key] };

/** An endpoint whose caller has gone is made and taken back as a whole: whose its addresses are shall be clear at any time. */
const UNTIL_RECORDED = new AbortController().signal;

/** The verbs on one host. */
export class AttachmentVerbs implements AttachmentDriver {
  readonly #parts: CnmParts;
  readonly #endpoints: EndpointVerbs;
  readonly #removal: Removal;

  constructor(parts: CnmParts) {
    this.#parts = parts;
    this.#endpoints = new EndpointVerbs(parts);
    this.#removal = new Removal(parts);
  }

  async attach(request: Attach, signal: AbortSignal): Promise<Attached> {
    const { registry, locks } = this.#parts;
    parseIfName(request.ifName);
    return locks.networks(async () => {
      const network = registry.requireNetwork(request.networkId);
      const known = registry.findEndpoint(request.endpointId);
      if (request.isAgain && (known === undefined || known.state === "removing")) {
        const what = `${request.owner.name} is not attached to network ${short(network.id)} any more`;
        throw new TsnetError("not-found", what);
      }
      if (known?.state === "removing") await this.#remove(request);
      else if (known !== undefined) return this.#again(known, network, request, signal);
      return this.#make(network, request, signal).catch((failure: unknown) => {
        throw inContext(`${request.owner.name} cannot be attached to network ${short(network.id)}`, failure);
      });
    });
  }

  async #make(network: Network, request: Attach, signal: AbortSignal): Promise<Attached> {
    const { endpointId, owner, ifName, hasDefaultRoute, isOnce } = request;
    return withUndo(async (undo) => {
      let isRecorded = false;
      const taken: Taken = {};
      undo.add(() => {
        if (isRecorded) return this.#remove(request); // its addresses go with the record, and no second time
        return this.#parts.releaseAddresses(network, { endpointId, ...taken });
      });
      await this.#takeAddresses(network, request, taken);
      const routes = readRoutes(request.routes, taken);
      const attachment: Attachment = { owner, ifName, hasDefaultRoute, routes, isOnce };
      await this.#endpoints.create(endpointOf(request, taken), UNTIL_RECORDED, attachment);
      isRecorded = true;
      return this.#join(request, attachment, false, signal);
    });
  }

  /** @param taken - gets each address as soon as it is in use. */
  async #takeAddresses(network: Network, request: Attach, taken: Taken): Promise<void> {
    const { registry, pools } = this.#parts;
    const context: AddressContext = { network, endpoints: registry.endpointsOf(network.id), pools };
    planEndpoint(endpointOf(request, {}), network); // before an address is written down: options and MAC
    const address = await takeAddress(4, request.address, context);
    if (address !== undefined) taken.address = address;
    const addressIpv6 = await takeAddress(6, request.addressIpv6, context);
    if (addressIpv6 !== undefined) taken.addressIpv6 = addressIpv6;
  }

  async #again(known: EndpointRecord, network: Network, request: Attach, signal: AbortSignal): Promise<Attached> {
    const { endpoint, attachment } = known;
    if (attachment === undefined) throw notAttached(endpoint);
    const differences = differencesOf(known, attachment, network, request);
    if (differences.length > 0) {
      const what = `${attachment.owner.name} is attached to network ${short(network.id)} already`;
      throw new TsnetError("conflict", `${what}, ${differences.join(", ")}; \`tsnet detach\` comes first`);
    }
    await this.#renewOwner(request);
    if (request.isLost) await this.#parts.datapaths[network.backend].detach(endpoint);
    return this.#join(request, attachment, true, signal);
  }

  /** What it is called and which engine has it may be others by now, or not be known yet. */
  async #renewOwner({ owner, ...ref }: Attach): Promise<void> {
    const { registry, locks } = this.#parts;
    await locks.endpoint(ref, async () => {
      const { attachment, ...rest } = registry.requireEndpoint(ref);
      if (attachment === undefined) return;
      const renewed = { ...attachment.owner, ...owner };
      if (isDeepStrictEqual(renewed, attachment.owner)) return;
      await registry.putEndpoint({ ...rest, attachment: { ...attachment, owner: renewed } });
    });
  }

  async #join(ref: EndpointRef, attachment: Attachment, wasAttached: boolean, signal: AbortSignal): Promise<Attached> {
    const { registry } = this.#parts;
    const sandboxKey = `tsnet:${ref.endpointId}`; // the namespace may be another one each time
    const { networkId, endpointId } = ref;
    const result = await this.#endpoints.join({ networkId, endpointId, sandboxKey }, signal);
    const { endpoint } = registry.requireEndpoint(ref);
    const { address, addressIpv6, mac, mtu, hostIfName } = endpoint;
    return {
      wasAttached,
      linkName: result.sourceName,
      hostLink: hostIfName,
      ifName: attachment.ifName,
      mac,
      mtu,
      addresses: [address, addressIpv6].filter((text) => text !== undefined),
      gateways: attachment.hasDefaultRoute ? requireGateways(result) : [],
      routes: [...result.routes, ...attachment.routes],
    };
  }

  async detach(ref: EndpointRef): Promise<boolean> {
    const { registry, locks } = this.#parts;
    const isDetached = await locks.networks(async () => {
      registry.damage.requireReadable("endpoint", ref.endpointId);
      const known = registry.findEndpoint(ref.endpointId);
      if (known === undefined) return false;
      if (known.attachment === undefined) throw notAttached(known.endpoint);
      await this.#remove(ref);
      return true;
    });
    await this.#removal.finishNetworkOf(ref.networkId);
    return isDetached;
  }

  /** Its addresses are free last of all, so that nobody gets them while they are in use. */
  async #remove({ endpointId }: Pick<EndpointRef, "endpointId">): Promise<void> {
    await this.#parts.locks.endpoint({ endpointId }, () => this.#removal.endpoint({ endpointId }));
  }
}

function notAttached({ endpointId }: Endpoint): TsnetError {
  const why = "Docker connected it: `docker network disconnect` takes it off";
  return new TsnetError("conflict", `endpoint ${short(endpointId)} is no attachment; ${why}`);
}

function endpointOf({ networkId, endpointId, mac, options }: Attach, addresses: Addresses): CreateEndpoint {
  return { networkId, endpointId, ...addresses, ...(mac !== undefined && { mac }), options };
}

/** @throws TsnetError `invalid`. */
function readRoutes(texts: readonly string[], addresses: Addresses): readonly StaticRoute[] {
  return texts.map((text) => {
    try {
      const [, destination = "", via = ""] = /^\s*(\S{1,64}) via (\S{1,64})\s*$/.exec(text) ?? [];
      const route = { destination: formatSubnet(parseSubnet(destination)), via: formatAddress(parseAddress(via)) };
      if (parseSubnet(destination).prefixLength === 0) throw new Error("--default-route sets the default route");
      if (!isNextHop(route.via, addresses)) throw new Error(`${via} is no neighbour: it is in none of its subnets`);
      return route;
    } catch (fault) {
      const permitted = "permitted: such as 10.0.0.0/8 via 10.1.2.9";
      throw new TsnetError("invalid", `route ${JSON.stringify(text)}: ${messageOf(fault)}; ${permitted}`);
    }
  });
}

/** @throws TsnetError `invalid` if there are none. */
function requireGateways({ gateway, gatewayIpv6 }: JoinResult): readonly string[] {
  const gateways = [gateway, gatewayIpv6].filter((text) => text !== undefined);
  if (gateways.length > 0) return gateways;
  const why = "the network has no gateway for its endpoints (mode isolated, --internal or gateway=none)";
  throw new TsnetError("invalid", `no default route is possible: ${why}`);
}

/** What of an attachment is not as it is asked for now: `but with address 10.1.2.9, not 10.1.2.8`. */
function differencesOf(
  { endpoint }: EndpointRecord,
  attachment: Attachment,
  network: Network,
  request: Attach,
): readonly string[] {
  const { address, addressIpv6, mac, options } = request;
  const planned = planEndpoint(endpointOf(request, {}), network);
  const wanted = readRoutes(request.routes, endpoint);
  const differs = (what: string, is: string | undefined, asked: string | undefined) =>
    asked === undefined || asked === is ? [] : [`but with ${what} ${is ?? "none"}, not ${asked}`];
  const canonical = (text: string | undefined) => text && formatAddress(parseAddress(text));
  const hasVlans = options.has("vlan") || options.has("trunk");
  return [
    ...differs("interface", attachment.ifName, request.ifName),
    ...differs("address", endpoint.address && bareAddress(endpoint.address), canonical(address)),
    ...differs("address", endpoint.addressIpv6 && bareAddress(endpoint.addressIpv6), canonical(addressIpv6)),
    ...differs("MAC address", endpoint.mac, mac?.toLowerCase()),
    ...(hasVlans && !isDeepStrictEqual(planned.vlans, endpoint.vlans) ? ["but with other VLANs"] : []),
    ...differs("MTU", String(endpoint.mtu), options.has("mtu") ? String(planned.mtu) : undefined),
    ...(request.hasDefaultRoute && !attachment.hasDefaultRoute ? ["but without a default route"] : []),
    ...(wanted.length > 0 && !isDeepStrictEqual(wanted, attachment.routes) ? ["but with other routes"] : []),
    ...(request.isOnce && !attachment.isOnce ? ["but not once only"] : []),
  ];
}
