// JSON as it is written: keeps the order of keys and equal keys, and has leaves that are no JSON. For making requests that
// no serializer would make.

/** One value. */
export type Node =
  | { readonly kind: "raw"; readonly text: string }
  | { readonly kind: "list"; readonly items: readonly Node[] }
  | { readonly kind: "object"; readonly entries: readonly (readonly [key: string, value: Node])[] };

/** Where a value is: positions of items or entries, from the outside in. */
export type Place = readonly number[];

export function raw(text: string): Node {
  return { kind: "raw", text };
}

export function treeOf(value: unknown): Node {
  if (Array.isArray(value)) return { kind: "list", items: value.map(treeOf) };
  if (typeof value !== "object" || value === null) return raw(JSON.stringify(value));
  return { kind: "object", entries: Object.entries(value).map(([key, member]) => [key, treeOf(member)]) };
}

export function textOfTree(node: Node): string {
  switch (node.kind) {
    case "raw":
      return node.text;
    case "list":
      return `[${node.items.map(textOfTree).join()}]`;
    case "object":
      return `{${node.entries.map(([key, value]) => `${JSON.stringify(key)}:${textOfTree(value)}`).join()}}`;
  }
}

/** Every place, the whole first. */
export function placesOf(node: Node, here: Place = []): readonly Place[] {
  const members = node.kind === "raw" ? [] : node.kind === "list" ? node.items : node.entries.map(([, value]) => value);
  return [here, ...members.flatMap((member, at) => placesOf(member, [...here, at]))];
}

/** @returns the value there; undefined if there is none. */
export function nodeAt(node: Node, [step, ...rest]: Place): Node | undefined {
  if (step === undefined) return node;
  if (node.kind === "raw") return undefined;
  const member = node.kind === "list" ? node.items[step] : node.entries[step]?.[1];
  return member && nodeAt(member, rest);
}

/** The same tree with another value at one place. */
export function withNode(node: Node, [step, ...rest]: Place, change: (old: Node) => Node): Node {
  if (step === undefined) return change(node);
  if (node.kind === "list")
    return { ...node, items: node.items.map((item, at) => (at === step ? withNode(item, rest, change) : item)) };
  if (node.kind === "raw") return node;
  const entries = node.entries.map(
    ([key, value], at) => [key, at === step ? withNode(value, rest, change) : value] as const,
  );
  return { ...node, entries };
}

/** The same tree without what is at one place; the whole stays. */
export function without(node: Node, place: Place): Node {
  const last = place.at(-1);
  if (last === undefined) return node;
  return withNode(node, place.slice(0, -1), (parent) => {
    if (parent.kind === "list") return { ...parent, items: parent.items.toSpliced(last, 1) };
    return parent.kind === "raw" ? parent : { ...parent, entries: parent.entries.toSpliced(last, 1) };
  });
}

/** The same tree with another key at one place of an object. */
export function withKey(node: Node, place: Place, key: string): Node {
  const last = place.at(-1);
  if (last === undefined) return node;
  return withNode(node, place.slice(0, -1), (parent) => {
    if (parent.kind !== "object") return parent;
    return { ...parent, entries: parent.entries.map((entry, at) => (at === last ? [key, entry[1]] : entry)) };
  });
}

/** The same tree with one more entry in the object at a place, or around it. */
export function withEntry(node: Node, place: Place, key: string, value: Node): Node {
  const found = nodeAt(node, place);
  if (found?.kind !== "object") return place.length === 0 ? node : withEntry(node, place.slice(0, -1), key, value);
  return withNode(node, place, () => ({ ...found, entries: [...found.entries, [key, value]] }));
}
