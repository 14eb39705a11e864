import { AssignerProtocol, type PartitionAssigner } from 'kafkajs';

/** TOPIC/PARTITION. */
export type PartitionName = string;

export function partitionName(topic: string, partition: number): PartitionName {
  return `${topic}/${partition}`;
}

const NAME = 'gruard-sticky';

/**
 * Partitions stay where their state is: each member says which it holds, and the leader moves only what nobody holds, or what one holds beyond its share. kafkajs rebalances
 * by stopping everybody; with this at least nobody has to load what it has already.
 */
export function stickyAssigner(held: () => PartitionName[]): PartitionAssigner {
  return ({ cluster }) => ({
    name: NAME,
    version: 0,
    protocol({ topics }) {
      return { name: NAME, metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData: Buffer.from(JSON.stringify(held())) }) };
    },
    async assign({ members, topics }) {
      const all = topics.flatMap((topic) => cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionName(topic, partitionId)));
      const holds = new Map(members.map(({ memberId, memberMetadata }) => [memberId, heldBy(memberMetadata)]));
      return [...assignSticky(all, holds)].map(([memberId, names]) => ({
        memberId, memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment: byTopic(names), userData: Buffer.alloc(0) }),
      }));
    },
  });
}

/** Every partition to one member, no member more than one above another, and as few moved as that allows. The same whatever the order of the members. */
export function assignSticky(all: readonly PartitionName[], holds: ReadonlyMap<string, readonly PartitionName[]>): Map<string, PartitionName[]> {
  const members = [...holds.keys()].sort();
  const free = new Set([...all].sort(byName));
  const assigned = new Map<string, PartitionName[]>(members.map((member) => [member, []]));
  const least = Math.floor(all.length / members.length);
  let above = all.length % members.length;
  // Who holds the most keeps the most.
  for (const member of [...members].sort((a, b) => holds.get(b)!.length - holds.get(a)!.length)) {
    const mine = assigned.get(member)!;
    for (const name of holds.get(member)!) {
      if (!free.has(name) || mine.length > least || (mine.length === least && above === 0)) continue;
      free.delete(name);
      mine.push(name);
      if (mine.length > least) above--;
    }
  }
  for (const name of free) {
    const fewest = members.reduce((a, b) => (assigned.get(b)!.length < assigned.get(a)!.length ? b : a));
    assigned.get(fewest)!.push(name);
  }
  return assigned;
}

function byName(a: PartitionName, b: PartitionName): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function heldBy(metadata: Buffer): PartitionName[] {
  try {
    const { userData } = AssignerProtocol.MemberMetadata.decode(metadata) ?? {};
    const names = JSON.parse(userData?.toString() ?? '[]') as unknown;
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
  } catch {
    return [];
  }
}

function byTopic(names: readonly PartitionName[]): Record<string, number[]> {
  const topics: Record<string, number[]> = {};
  for (const name of names) {
    const at = name.lastIndexOf('/');
    (topics[name.slice(0, at)] ??= []).push(Number(name.slice(at + 1)));
  }
  return topics;
}
