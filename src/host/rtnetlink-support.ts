// What this kernel can do. It is asked to make links that no kernel makes, and the reason of its refusal tells: no link is
// made, and a module that is there is loaded, as it would be for the real thing. Follows net/core/rtnetlink.c (rtnl_newlink).
import type { LinkRequests } from "./rtnetlink-requests.ts";

/** A request for a link, and what its refusal says about the kernel. */
export interface SupportQuestion {
  readonly doing: string;
  readonly parts: readonly Buffer[];
  /** Errno names. */
  readonly yes: string;
  readonly no: readonly string[];
}

/** What the kernel answered, asked once each. */
export class KernelSupport {
  readonly #requests: LinkRequests;
  readonly #answers = new Map<SupportQuestion, boolean>();

  constructor(requests: LinkRequests) {
    this.#requests = requests;
  }

  /** @throws TsnetError `host` for any other refusal. */
  async has(question: SupportQuestion): Promise<boolean> {
    const { doing, parts, yes, no } = question;
    const known = this.#answers.get(question);
    const isYes = known ?? (await this.#requests.refusal(doing, parts, [yes, ...no])) === yes;
    this.#answers.set(question, isYes);
    return isYes;
  }
}
