// The kinds of field that the engine's messages are made of, as TypeBox schemas. They check form only (type, length,
// alphabet); what a value means is checked in `cnm/` and `ipam/`. All patterns run in linear time.
//
// JSON forms: cnm-protocol.md sections 2 to 4. Go sends a nil map or slice as `null`.
import { type Static, type TSchema, Type } from "typebox";
import type { AttachmentOwner } from "../cnm/attachment.ts";
import type { EndpointId } from "../cnm/endpoint.ts";
import type { NetworkId } from "../cnm/network.ts";

/** Characters that one text may have at most. */
export const MAX_TEXT_LENGTH = 4096;
/** Characters that the name of an option may have at most. */
export const MAX_KEY_LENGTH = 256;
/** Entries that a map of options may have at most. */
export const MAX_OPTIONS = 256;

// No control characters, lone surrogates, line separators, or marks that turn the direction of writing.
const PRINTABLE = "^[^\\p{Cc}\\p{Cs}\\u2028-\\u202e\\u2066-\\u2069]*$";
const NETWORK_ID = "^([0-9a-f]{64}|[0-9a-z]{25})$";
const ENDPOINT_ID = "^[0-9a-f]{64}$";
const ADDRESS_OR_EMPTY = "^([0-9A-Fa-f:.]{2,45})?$";
const CIDR = "^[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}$";
const CIDR_OR_EMPTY = "^([0-9A-Fa-f:.]{2,45}/[0-9]{1,3})?$";
const MAC_OR_EMPTY = "^(([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2})?$";

const OWNER_KIND = "^(container|netns|pid)$";

/** What a pattern asks for, as the operator reads it. */
export const PATTERN_WORDS: ReadonlyMap<string, string> = new Map([
  [PRINTABLE, "must not have control characters"],
  [NETWORK_ID, "must be 64 hex digits, or 25 lower-case letters and digits"],
  [ENDPOINT_ID, "must be 64 hex digits"],
  [ADDRESS_OR_EMPTY, "must be an IP address without a prefix length"],
  [CIDR, "must be an IP address with a prefix length"],
  [CIDR_OR_EMPTY, "must be an IP address with a prefix length"],
  [OWNER_KIND, "must be container, netns or pid"],
  [MAC_OR_EMPTY, "must be a MAC address like 02:42:0a:01:02:03"],
]);

const text = (pattern: string) => Type.String({ maxLength: MAX_TEXT_LENGTH, pattern });

/** @returns the same schema that takes `null` too: a nil map or slice of Go. */
export function nullable<Schema extends TSchema>(schema: Schema) {
  return Type.Unsafe<Static<Schema> | null>({ ...schema, nullable: true });
}

/** A field that may be missing or `null`. */
export function absentable<Schema extends TSchema>(schema: Schema) {
  return Type.Optional(nullable(schema));
}

/** 64 hex digits, or the 25 letters and digits of a swarm network. */
export const NetworkIdText = Type.Unsafe<NetworkId>(Type.String({ pattern: NETWORK_ID }));
/** 64 hex digits. */
export const EndpointIdText = Type.Unsafe<EndpointId>(Type.String({ pattern: ENDPOINT_ID }));
/** Any one line of text, "" too. */
export const Text = text(PRINTABLE);
/** One line of text with at least one character. */
export const NonEmptyText = Type.String({ minLength: 1, maxLength: MAX_TEXT_LENGTH, pattern: PRINTABLE });
/** Bare address, or "" for none. */
export const AddressOrEmpty = text(ADDRESS_OR_EMPTY);
/** Address with prefix length. */
export const Cidr = text(CIDR);
/** Address with prefix length, or "" for none. */
export const CidrOrEmpty = text(CIDR_OR_EMPTY);
/** `02:42:0a:01:02:03`, or "" for none. */
export const MacOrEmpty = text(MAC_OR_EMPTY);

/** What has a network namespace. */
export const OwnerKindText = Type.Unsafe<AttachmentOwner["kind"]>(Type.String({ pattern: OWNER_KIND }));

/** The name of an option, for the keyword `propertyNames`. */
export const OptionKey = { maxLength: MAX_KEY_LENGTH, pattern: PRINTABLE };

/** A JSON object whose values all have one form. */
export function mapOf<Value extends TSchema>(value: Value) {
  return Type.Unsafe<Record<string, Static<Value>>>({
    type: "object",
    maxProperties: MAX_OPTIONS,
    propertyNames: OptionKey,
    additionalProperties: value,
  });
}

/** Options as the user typed them: text to text. */
export const StringMap = mapOf(Text);

/** @returns `value`, or undefined for "", which the engine writes for "none". */
export function presentText(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

/** Turns a JSON object into a map: own properties only. */
export function toMap(object: Readonly<Record<string, string>> | null | undefined): ReadonlyMap<string, string> {
  return new Map(Object.entries(object ?? {}));
}
