// The attack catalogue against containers of a real engine, on Linux bridges.
import { describeAttacks } from "../contract/attacks.ts";

describeAttacks("bridge");
