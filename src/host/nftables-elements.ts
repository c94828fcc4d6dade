// Messages about the elements of nf_tables sets and maps: what `nftables.ts` sends and receives. Pure functions over
// buffers. Follows include/uapi/linux/netfilter/nf_tables.h and net/netfilter/nf_tables_api.c (nft_add_set_elem,
// nf_tables_fill_setelem). An element is one attribute, a message carries many of them in its list:
//
//   nfgenmsg | TABLE name | SET name | ELEMENTS { LIST_ELEM { KEY { VALUE } KEY_END { VALUE } DATA { VALUE } }, ... }
import {
  bytesAttribute,
  findAttribute,
  nestedAttribute,
  parseAttributeList,
  parseAttributes,
  textAttribute,
  u32NetAttribute,
} from "./netlink.ts";
import { NFPROTO, NF_HEADER_LENGTH, nfHeader } from "./nfnetlink.ts";

const NFTA_SET_ELEM_LIST = { TABLE: 1, SET: 2, ELEMENTS: 3 } as const;
const NFTA_LIST_ELEM = 1;
const NFTA_SET_ELEM = { KEY: 1, DATA: 2, FLAGS: 3, KEY_END: 10 } as const;
const NFTA_DATA_VALUE = 1;
const NFT_SET_ELEM_CATCHALL = 0x2;
const NFTA_GEN_ID = 1;

/** An attribute says its length in 16 bits, and the list of elements is one. */
const LIST_LIMIT = 0xffff - 4;

/** The families of tables that tsnet has. */
export type TableFamily = "inet" | "bridge";

/** Which set or map. */
export interface SetAddress {
  readonly family: TableFamily;
  readonly table: string;
  readonly set: string;
}

/**
 * One element, in the bytes that the kernel keeps: a concatenation's components are each filled up with zero bytes to a
 * multiple of 4, a lone component is as long as its type. All must have the length that the set was made for.
 */
export interface SetElement {
  /** Empty for the element `*`, which stands for all keys that are not there. */
  readonly key: Buffer;
  /** Last key of an interval, in sets of concatenations with `flags interval`; may equal `key`. */
  readonly keyEnd?: Buffer;
  /** What a map gives for the key. Verdicts are not read. */
  readonly data?: Buffer;
}

/** What of a message names the set. */
export function setParts({ family, table, set }: SetAddress): Buffer[] {
  return [
    nfHeader(NFPROTO[family]),
    textAttribute(NFTA_SET_ELEM_LIST.TABLE, table),
    textAttribute(NFTA_SET_ELEM_LIST.SET, set),
  ];
}

/** The elements as attributes to put behind `setParts`, one for each message: none is longer than an attribute can be. */
export function elementLists(elements: readonly SetElement[]): Buffer[] {
  const lists: Buffer[][] = [];
  let room = 0;
  for (const element of elements.map(elementAttribute)) {
    if (element.length > room) {
      lists.push([]);
      room = LIST_LIMIT;
    }
    lists.at(-1)?.push(element);
    room -= element.length;
  }
  return lists.map((list) => nestedAttribute(NFTA_SET_ELEM_LIST.ELEMENTS, list));
}

/** Reads the payload of an NFT_MSG_NEWSETELEM message. @throws TsnetError `host` if lengths do not add up. */
export function parseElements(payload: Buffer): SetElement[] {
  const list = parseAttributes(payload.subarray(NF_HEADER_LENGTH)).get(NFTA_SET_ELEM_LIST.ELEMENTS);
  return parseAttributeList(list ?? Buffer.alloc(0)).map(({ value }) => {
    const attributes = parseAttributes(value);
    const valueOf = (type: number) => parseAttributes(attributes.get(type) ?? Buffer.alloc(0)).get(NFTA_DATA_VALUE);
    const [keyEnd, data] = [valueOf(NFTA_SET_ELEM.KEY_END), valueOf(NFTA_SET_ELEM.DATA)];
    return { key: valueOf(NFTA_SET_ELEM.KEY) ?? Buffer.alloc(0), ...(keyEnd && { keyEnd }), ...(data && { data }) };
  });
}

/** Whether no two elements have the same key. */
export function areDistinct(elements: readonly SetElement[]): boolean {
  return new Set(elements.map(({ key }) => key.toString("latin1"))).size === elements.length;
}

/** The keys of elements, the same for the same elements in whatever order. */
export function sortedKeys(elements: readonly SetElement[]): string {
  return elements
    .map(({ key }) => key.toString("hex"))
    .toSorted()
    .join(" ");
}

/** Reads the payload of an NFT_MSG_NEWGEN message. */
export function parseGeneration(payload: Buffer): number | undefined {
  return findAttribute(payload.subarray(NF_HEADER_LENGTH), NFTA_GEN_ID)?.readUInt32BE();
}

function elementAttribute({ key, keyEnd, data }: SetElement): Buffer {
  const isCatchAll = key.length === 0;
  return nestedAttribute(NFTA_LIST_ELEM, [
    isCatchAll ? u32NetAttribute(NFTA_SET_ELEM.FLAGS, NFT_SET_ELEM_CATCHALL) : dataAttribute(NFTA_SET_ELEM.KEY, key),
    ...(keyEnd ? [dataAttribute(NFTA_SET_ELEM.KEY_END, keyEnd)] : []),
    ...(data ? [dataAttribute(NFTA_SET_ELEM.DATA, data)] : []),
  ]);
}

function dataAttribute(type: number, value: Buffer): Buffer {
  return nestedAttribute(type, [bytesAttribute(NFTA_DATA_VALUE, value)]);
}
