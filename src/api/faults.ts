// Turns what Ajv says about a body into one line that names every fault with its field, such as
// `Interface.Address must be string; NetworkID is missing`.
import type { FastifySchemaValidationError } from "fastify";
import { MAX_KEY_LENGTH, MAX_OPTIONS, MAX_TEXT_LENGTH, PATTERN_WORDS } from "./fields.ts";

const MAX_FAULTS = 20;
const MAX_SHOWN_KEY_LENGTH = 80;
const PLAIN_KEY = /^[\w-]{1,80}$/;

/** One line about all faults; from the 21st on they are only counted. */
export function describeFaults(errors: readonly FastifySchemaValidationError[]): string {
  // What is wrong with a key is told once, by the error of `propertyNames` itself.
  const told = errors.filter((error) => !error.schemaPath.includes("/propertyNames/"));
  const faults = [...new Set(told.slice(0, MAX_FAULTS).map(describe))];
  const more = told.length - MAX_FAULTS;
  return more > 0 ? `${faults.join("; ")}; and ${more} more` : faults.join("; ");
}

function describe(error: FastifySchemaValidationError): string {
  const keys = error.instancePath.split("/").slice(1).map(unescapePointer);
  if (error.keyword === "required") return `${pathOf([...keys, String(error.params["missingProperty"])])} is missing`;
  const path = pathOf(keys) || "the body";
  return `${path} ${rule(error)}`;
}

function rule(error: FastifySchemaValidationError): string {
  switch (error.keyword) {
    case "type":
      return `must be ${String(error.params["type"]).replace(",", " or ")}`;
    case "pattern":
      return PATTERN_WORDS.get(String(error.params["pattern"])) ?? "has a wrong form";
    case "minLength":
      return "must not be empty";
    case "maxLength":
      return `must not be longer than ${MAX_TEXT_LENGTH} characters`;
    case "maxProperties":
      return `must not have more than ${MAX_OPTIONS} entries`;
    case "propertyNames":
      return `has a key with control characters or of more than ${MAX_KEY_LENGTH} characters: ${quote(error.params["propertyName"])}`;
    default:
      return error.message ?? `breaks the rule ${error.keyword}`;
  }
}

// RFC 6901, section 3.
function unescapePointer(part: string): string {
  return part.replaceAll("~1", "/").replaceAll("~0", "~");
}

function pathOf(keys: readonly string[]): string {
  return keys.reduce((path, key) => {
    if (/^\d+$/.test(key)) return `${path}[${key}]`;
    if (!PLAIN_KEY.test(key)) return `${path}[${quote(key)}]`;
    return path === "" ? key : `${path}.${key}`;
  }, "");
}

function quote(key: unknown): string {
  const shown = String(key);
  return JSON.stringify(shown.length > MAX_SHOWN_KEY_LENGTH ? `${shown.slice(0, MAX_SHOWN_KEY_LENGTH)}...` : shown);
}
