// The handshake: which of Docker's plugin interfaces tsnet implements (cnm-protocol.md 1.5). A managed plugin is never
// asked; its `config.json` says the same.
import { type Verb, constantVerb } from "./verb.ts";

/** The one verb of the handshake. */
export const ACTIVATE: Verb = constantVerb("Plugin.Activate", { Implements: ["NetworkDriver", "IpamDriver"] });
