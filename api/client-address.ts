/** Groups of an IPv6 address that name the network: whoever has one address of a /64 has all of them. */
const NETWORK_GROUPS = 4;

/** Whom a limit of an address counts: an IPv4 address, also where it comes mapped into IPv6; of an IPv6 address its /64, so that nobody is 2^64 clients. */
export function clientOf(address: string): string {
  const [bare] = address.split('%', 1);
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare);
  if (mapped) return mapped[1];
  if (!bare.includes(':')) return bare;
  const [left, right] = bare.split('::').map((half) => (half === '' ? [] : half.split(':')));
  // `::` stands for as many zeros as are missing; an IPv4 address at the end is two groups.
  const missing = right === undefined ? 0 : 8 - left.length - right.length - (right.at(-1)?.includes('.') ? 1 : 0);
  const groups = [...left, ...Array<string>(Math.max(0, missing)).fill('0'), ...(right ?? [])];
  return `${groups.slice(0, NETWORK_GROUPS).map((group) => parseInt(group, 16).toString(16)).join(':')}::/64`;
}
