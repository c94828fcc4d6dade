// Makes the calls of a history on a remembered host (order-host.ts): what the engine and the operator's command ask of tsnet, and
// what both do with a container's link besides.
import type { Attach } from "../../src/cnm/attachment.ts";
import { TsnetError } from "../../src/errors.ts";
import { endpointId, endpointRequest, joinRequest, networkId, networkRequest } from "./cnm-builder.ts";
import { ask } from "./cnm-publishing.ts";
import { poolRequest } from "./ipam-builder.ts";
import { withOwnPool } from "./order-engine.ts";
import { type OrderCall, networkOf } from "./order-history.ts";
import type { OrderHost } from "./order-host.ts";
import { endpointRecordOf, linkOf } from "./order-look.ts";
import { FIRST, FIXED, givenAddress, portAtJoin, portOf } from "./order-model.ts";
import { ASKED, addressToSet, isClosed, isOnce, mtuOfEndpoint, mtuOfNetwork } from "./order-operator.ts";
import { type OrderPools, addressOf } from "./order-pools.ts";
import type { Answer } from "./order-state.ts";

const REFUSALS: ReadonlySet<string> = new Set(["invalid", "not-found", "conflict", "exhausted", "unsupported"]);

/** Of one host, whichever process it has. */
export class OrderCaller {
  readonly #host: OrderHost;
  readonly #pools: OrderPools;

  constructor(host: OrderHost, pools: OrderPools) {
    this.#host = host;
    this.#pools = pools;
  }

  /** What the engine learns. */
  async answer(call: OrderCall, signal: AbortSignal): Promise<Answer> {
    const { life } = this.#host.process;
    const made: Promise<Answer> = this.#make(call, signal).then(
      (address) => (address === undefined ? { kind: "ok" } : { kind: "ok", address }),
      (failure: unknown) => {
        if (!(failure instanceof TsnetError)) throw failure;
        return { kind: REFUSALS.has(failure.code) ? "refused" : "failed" };
      },
    );
    const answer = await Promise.race([made, life.over.then((): Answer => ({ kind: "none" }))]);
    if (call.verb === "Leave") this.#moveBack(call.on);
    return answer;
  }

  async #make({ verb, on, variant }: OrderCall, signal: AbortSignal): Promise<number | undefined> {
    const { cnm, engine, reconciler } = this.#host.process;
    const ref = { networkId: networkId(networkOf(on)), endpointId: endpointId(on) };
    switch (verb) {
      case "CreateNetwork":
        await engine.createNetwork(networkOfHistory(on, variant), signal);
        return;
      case "DeleteNetwork":
        await engine.deleteNetwork(networkId(on));
        return;
      case "CreateEndpoint": {
        const address = `10.1.${networkOf(on)}.${givenAddress({ on, variant })}/24`;
        const port = portAtJoin(on);
        const ports = port === undefined ? {} : { portMap: [ask(80, port)] };
        await engine.createEndpoint(endpointRequest(on, networkOf(on), { address, ...ports }), signal);
        return;
      }
      case "DeleteEndpoint":
        await engine.deleteEndpoint(ref);
        return;
      case "Join": {
        const request = joinRequest(on, networkOf(on), `/var/run/docker/netns/${on}-${variant}`);
        const { sourceName } = await cnm.join(request, signal);
        this.#host.datapath.links.delete(sourceName); // the engine moves it into the container
        return;
      }
      case "Leave":
        await cnm.leave(ref);
        return;
      case "Program":
        await cnm.programExternalConnectivity({ ...ref, portMap: [ask(80, portOf(variant))] }, signal);
        return;
      case "Revoke":
        await cnm.revokeExternalConnectivity(ref);
        return;
      case "Die":
        if (linkOf(this.#host, on) === "away")
          this.#host.datapath.unplug(endpointRecordOf(this.#host, on)?.endpoint.hostIfName ?? "");
        return;
      case "Reconcile":
        await reconciler.run();
        return;
      case "RequestPool":
      case "ReleasePool":
      case "RequestAddress":
      case "ReleaseAddress":
        return this.#makeOfPool({ verb, on, variant });
      default:
        return this.#operate({ verb, on, variant }, signal);
    }
  }

  async #operate({ verb, on, variant }: OrderCall, signal: AbortSignal): Promise<undefined> {
    const { attachments, changes, repair } = this.#host.process;
    const ref = { networkId: networkId(networkOf(on)), endpointId: endpointId(on) };
    const set = (...options: (readonly [string, string])[]) =>
      changes.setEndpoint({ ...ref, options: new Map(options) }, signal);
    if (verb === "Attach") {
      const { linkName } = await attachments.attach(this.#attachRequest({ verb, on, variant }), signal);
      this.#host.datapath.links.delete(linkName); // the command moves it into the namespace
    } else if (verb === "Detach") await attachments.detach(ref);
    else if (verb === "SetMtu") await set(["mtu", `${mtuOfEndpoint(variant)}`]);
    else if (verb === "SetAddress") await set(["ip", `10.1.${networkOf(on)}.${addressToSet({ verb, on, variant })}`]);
    else if (verb === "Repair") await repair.run({ addresses: [] });
    else {
      const mtu = mtuOfNetwork(variant);
      const options = new Map([["mtu", `${mtu}`], ["icc", `${!isClosed(mtu)}`]] as const); // prettier-ignore
      await changes.setNetwork({ networkId: networkId(on), options }, signal);
    }
  }

  #attachRequest({ on, variant }: OrderCall): Attach {
    const isLost = endpointRecordOf(this.#host, on) !== undefined && linkOf(this.#host, on) !== "away";
    return {
      networkId: networkId(networkOf(on)),
      endpointId: endpointId(on),
      owner: { kind: "container", id: `${on}`, name: `c${on}` },
      ifName: "eth1",
      ...(variant === 1 && { address: `10.1.${networkOf(on)}.${ASKED}` }),
      options: new Map(),
      hasDefaultRoute: false,
      routes: [],
      isOnce: isOnce(on),
      isLost,
      isAgain: false,
    };
  }

  async #makeOfPool({ verb, on, variant }: OrderCall): Promise<number | undefined> {
    const { ipam } = this.#host.process;
    const poolId = this.#pools.idOf(on);
    if (verb === "RequestPool") {
      const pool = await ipam.requestPool(poolRequest(this.#pools.ask(on)));
      this.#pools.name(pool.poolId, on);
    } else if (verb === "ReleasePool") {
      await ipam.releasePool(poolId);
    } else if (verb === "ReleaseAddress") {
      await ipam.releaseAddress(poolId, addressOf(on, variant === 1 ? FIXED : FIRST));
    } else {
      const fixed = variant === 1 ? { address: addressOf(on, FIXED) } : {};
      const answer = await ipam.requestAddress({ poolId, isGateway: false, ...fixed });
      return Number(answer.replace(/^.*\./, "").replace("/29", ""));
    }
  }

  /** After Leave, whatever its answer, the engine takes the link out of the container. */
  #moveBack(on: number): void {
    const { datapath } = this.#host;
    const names = endpointRecordOf(this.#host, on)?.endpoint;
    if (names === undefined || linkOf(this.#host, on) !== "away") return;
    datapath.plant(names.sandboxIfName, { kind: "sandbox", mac: names.mac, mtu: names.mtu });
  }
}

/** 1 is plain, 2 has no gateway for its endpoints, 3 has the subnet of 1. With variant 1 the MTU is another one. */
function networkOfHistory(on: number, variant: number) {
  const options = { ...(variant === 1 && { mtu: "1400" }), ...(on === 2 && { gateway: "none" }) };
  return networkRequest(on, options, on === 3 ? { pools: networkRequest(1).pools } : withOwnPool(on));
}
