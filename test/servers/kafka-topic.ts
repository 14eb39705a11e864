import type { KafkaServer } from './kafka.js';

export interface TopicMessage {
  partition: number;
  key: string;
  value: string;
  headers: Record<string, string>;
}

/** Everything that a topic holds now, as a `read_committed` reader sees it; in order within a partition. */
export async function readTopic(server: KafkaServer, topic: string): Promise<TopicMessage[]> {
  const client = server.client();
  const admin = client.admin();
  await admin.connect();
  const left = new Map((await admin.fetchTopicOffsets(topic)).filter(({ low, high }) => Number(high) > Number(low)).map(({ partition, high }) => [partition, Number(high)]));
  await admin.disconnect();
  const messages: TopicMessage[] = [];
  if (left.size === 0) return messages;
  const consumer = client.consumer({ groupId: `read-${topic}-${performance.now()}`, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      // The last offsets of a partition may be markers of transactions, which no reader is given.
      if (Number(payload.lastOffset) + 1 >= (left.get(payload.partition) ?? Infinity)) left.delete(payload.partition);
      if (left.size === 0) resolve();
    });
    consumer.run({
      eachBatch: async ({ batch }) => {
        for (const { key, value, headers } of batch.messages) {
          messages.push({
            partition: batch.partition, key: key?.toString() ?? '', value: value?.toString() ?? '',
            headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, header]) => [name, String(header)])),
          });
        }
      },
    }).catch(reject);
  });
  await consumer.disconnect();
  return messages;
}
