import type { KafkaMessage } from 'kafkajs';
import type { KafkaServer } from '../servers/kafka.js';

/** Hands out everything that a topic holds now, as a `read_committed` reader sees it, in order within a partition, without keeping it. */
export async function readThrough(server: KafkaServer, topic: string, take: (partition: number, messages: KafkaMessage[]) => void): Promise<void> {
  const client = server.client();
  const admin = client.admin();
  await admin.connect();
  const left = new Map((await admin.fetchTopicOffsets(topic)).filter(({ low, high }) => Number(high) > Number(low)).map(({ partition, high }) => [partition, Number(high)]));
  await admin.disconnect();
  if (left.size === 0) return;
  const consumer = client.consumer({ groupId: `through-${topic}-${performance.now()}`, maxWaitTimeInMs: 200, maxBytesPerPartition: 4 * 1024 * 1024 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      if (Number(payload.lastOffset) + 1 >= (left.get(payload.partition) ?? Infinity)) left.delete(payload.partition);
      if (left.size === 0) resolve();
    });
    consumer.run({ autoCommit: false, eachBatch: async ({ batch }) => take(batch.partition, batch.messages) }).catch(reject);
  });
  await consumer.disconnect();
}
