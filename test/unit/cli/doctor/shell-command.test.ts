import { describe, expect, it } from "vitest";
import { command, wrapCommand } from "../../../../src/cli/doctor/shell-command.ts";

describe("a command that mends", () => {
  it("has names as they are where a shell reads them so, and in quotes where it does not", () => {
    expect(command`docker network rm ${"web-1.lan"}`).toBe("docker network rm web-1.lan");
    expect(command`docker network rm ${"a b; rm -rf $HOME"}`).toBe("docker network rm 'a b; rm -rf $HOME'");
    expect(command`ip link set ${"it's"} up`).toBe("ip link set 'it'\\''s' up");
    expect(command`ip link set ${""} up`).toBe("ip link set '' up");
  });

  it("is broken between words and never inside quotes", () => {
    const lines = wrapCommand("nft add rule inet mine forward 'meta mark & 1 == 1 accept' now", 36);

    expect(lines).toEqual(["nft add rule inet mine forward \\", "'meta mark & 1 == 1 accept' now"]);
  });

  it("that is short stays one line", () => {
    expect(wrapCommand("ip link set eth0 up", 80)).toEqual(["ip link set eth0 up"]);
  });
});
