// What the verbs of networks need of tsnet's own IPAM. The engine speaks to the two of them apart from one another: what it
// tells the one may be proof for the other.

/** Pools and addresses by the subnets that networks have; all texts canonical, addresses bare. */
export interface PoolKeeper {
  /**
   * How many networks' pools have exactly this subnet, each in a segment of its own: one that is asked for and of no network
   * yet is not counted. Undefined in another driver's address space.
   */
  count(addressSpace: string, subnet: string): number | undefined;

  /** The pool with that subnet that the network is to have that is about to be made; undefined if that cannot be told. */
  idForNew(addressSpace: string, subnet: string): string | undefined;

  /** A network was made with that pool. */
  claim(addressSpace: string, subnet: string): void;

  /** A network was refused that has that subnet. */
  refuse(addressSpace: string, subnet: string): void;

  /** Removes the pool with that subnet, with all its addresses. Where pools of several segments have it, they stay. */
  release(addressSpace: string, subnet: string): Promise<void>;

  /**
   * Gives out an address of the pool with that subnet, durably. @param address - absent: the next one.
   *
   * @returns CIDR.
   * @throws TsnetError `invalid`, `conflict`, `exhausted`; `unsupported` where pools of several segments have the subnet, and
   * none is named.
   */
  requestAddress(addressSpace: string, subnet: string, address?: string, poolId?: string): Promise<string>;

  /** Releases an address of the pool with that subnet. Where pools of several segments have it, and none is named, it stays in use. */
  releaseAddress(addressSpace: string, subnet: string, address: string, poolId?: string): Promise<void>;

  /**
   * The addresses of that pool that were given to endpoints before this start. None where pools of several segments have the
   * subnet.
   *
   * @param isOperators - whether only those that were given out by `requestAddress`, and not to the engine.
   */
  listOfFormerLife(addressSpace: string, subnet: string, isOperators?: boolean): readonly string[];
}
