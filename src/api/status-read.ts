// `GET /status`: what tsnet itself says of its networks, endpoints and published ports:
// `curl --unix-socket /run/docker/plugins/tsnet.sock http://tsnet/status`.
import type { CnmDriver, CnmStatus } from "../cnm/requests.ts";
import { VERSION } from "../version.ts";
import type { Read } from "./read-route.ts";

/**
 * The body of the answer, as JSON:
 *
 *     { "version": "0.1.0", "isComplete": true, "damage": ["the record of network 63cc06… is damaged: …"],
 *       "networks": [
 *         { "id": "63cc06…", "state": "ready", "mode": "nat", "isInternal": false, "backend": "bridge",
 *           "switch": "tsn-63cc06f3c7b", "vlan": 10, "trunk": [20, 30], "parent": "eth1",
 *           "tunnel": { "kind": "vxlan", "vni": 80, "port": 4789, "local": "192.0.2.10", "peers": ["192.0.2.11"] },
 *           "mtu": 1500, "ifPrefix": "eth", "subnets": ["10.1.2.0/24"], "icc": true, "antispoof": true, "hostBinding": "192.0.2.1",
 *           "endpoints": [
 *             { "id": "83ad9d…", "state": "joined", "addresses": ["10.1.2.3/24"], "mac": "02:42:0a:01:02:03", "mtu": 1500,
 *               "hostLink": "tsv83ad9d8339a1", "vlan": 10, "trunk": [20, 30],
 *               "ports": [
 *                 { "protocol": "tcp", "hostAddress": "", "hostPort": 8080, "containerPort": 80 }] }] }] }
 *
 * An endpoint that `tsnet attach` made has an `attachment` besides: `{ "owner": { "kind": "container", "id": "4f1c…",
 * "name": "web", "engine": "4WNA:77VC… /var/lib/docker" }, "ifName": "eth1", "hasDefaultRoute": false, "routes": [], "isOnce": false }`.
 *
 * What the fields mean is said of `CnmStatus`, `NetworkStatus` and `EndpointStatus` in `cnm/requests.ts`.
 */
export interface StatusReply extends CnmStatus {
  readonly version: string;
}

/** Networks, endpoints and ports. */
export function statusRead(cnm: Pick<CnmDriver, "describe">): Read {
  const run = (): StatusReply => ({ version: VERSION, ...cnm.describe() });
  return { name: "status", path: "/status", run };
}
