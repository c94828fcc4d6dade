// The server that containers of the test image run as `serve NAME PORT...`: on each port, over TCP and UDP and both
// families, it says its name and the address it was asked from, so that a test knows which container answered and what
// became of the source address. In Perl, because every Debian has it (perl-base) and the image shall stay small; busybox
// has no server for UDP.
//
//   TCP  NAME ADDRESS\n, then everything that comes is sent back
//   UDP  for each datagram: NAME ADDRESS DATAGRAM
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";

const PERL = "/usr/bin/perl";
const USE = "use Socket qw(:DEFAULT IN6ADDR_ANY inet_ntop);";

const SCRIPT = `#!${PERL}
${USE}
my ($name, @ports) = @ARGV;
my (%listening, %bound, %talking);
for my $port (@ports) {
  my $any = pack_sockaddr_in6($port, IN6ADDR_ANY);
  socket(my $tcp, AF_INET6, SOCK_STREAM, 0) or die "tcp: $!";
  setsockopt($tcp, SOL_SOCKET, SO_REUSEADDR, 1);
  bind($tcp, $any) and listen($tcp, 128) or die "tcp $port: $!";
  socket(my $udp, AF_INET6, SOCK_DGRAM, 0) or die "udp: $!";
  bind($udp, $any) or die "udp $port: $!";
  $listening{fileno $tcp} = $tcp;
  $bound{fileno $udp} = $udp;
}
sub greeting {
  my ($port, $address) = unpack_sockaddr_in6($_[0]);
  return $name . " " . (inet_ntop(AF_INET6, $address) =~ s/^::ffff:(?=\\d+\\.)//r);
}
while (1) {
  my $ready = "";
  vec($ready, $_, 1) = 1 for keys %listening, keys %bound, keys %talking;
  next if select($ready, undef, undef, undef) < 1;
  for my $fd (grep { vec($ready, $_, 1) } keys %listening) {
    my $peer = accept(my $socket, $listening{$fd}) or next;
    syswrite($socket, greeting($peer) . "\\n");
    $talking{fileno $socket} = $socket;
  }
  for my $fd (grep { vec($ready, $_, 1) } keys %bound) {
    my $peer = recv($bound{$fd}, my $datagram, 2048, 0) or next;
    send($bound{$fd}, greeting($peer) . " $datagram", 0, $peer);
  }
  for my $fd (grep { vec($ready, $_, 1) } keys %talking) {
    my $count = sysread($talking{$fd}, my $text, 4096);
    if ($count) { syswrite($talking{$fd}, $text) } else { close(delete $talking{$fd}) }
  }
}
`;

/** The same server as a command of a machine, such as a neighbour, to be followed by `NAME PORT...`. */
export const SERVE: readonly string[] = [PERL, "-e", SCRIPT, "--"];

/** Puts the server into the root file system of an image, as `/bin/serve`, with what it needs. */
export async function installServer(root: string): Promise<void> {
  for (const path of [PERL, ...(await findLibraries()), ...(await findModules())]) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await copyFile(path, join(root, path));
  }
  await writeFile(join(root, "bin/serve"), SCRIPT);
  await chmod(join(root, "bin/serve"), 0o755);
}

/** Shared libraries and the loader, by the paths under which they are asked for. */
async function findLibraries(): Promise<readonly string[]> {
  const { stdout } = await execa("ldd", [PERL]);
  return Array.from(stdout.matchAll(/(\/\S+) \(0x/g), ([, path = ""]) => path);
}

/** What the script loads. */
async function findModules(): Promise<readonly string[]> {
  const list = 'print "$_\\n" for values %INC, @DynaLoader::dl_shared_objects';
  const { stdout } = await execa(PERL, ["-e", `${USE} ${list}`]);
  return stdout.split("\n").filter((path) => path !== "");
}
