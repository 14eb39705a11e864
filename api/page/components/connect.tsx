import { signal } from '@preact/signals';
import { useRef, useState } from 'preact/hooks';
import { Dialog } from './dialog.js';
import { hasToken } from '../client.js';
import { overview } from '../fleet-state.js';

export const connectOpen = signal(false);

export function ConnectDialog() {
  return (
    <Dialog open={connectOpen} title="Connect your fleet">
      <p>One message makes a device. The last topic level, or <code>device</code> in the payload, is its name; each number is a series.</p>
      <ConnectSnippets />
    </Dialog>
  );
}

interface Snippet {
  label: string;
  text: string;
  hint: string;
}

export function ConnectSnippets() {
  const snippets = snippetsFor(brokerAddress(), location.origin, hasToken());
  const [at, setAt] = useState(0);
  const chosen = snippets[Math.min(at, snippets.length - 1)];
  return (
    <div class="snippets">
      <div class="segments" role="group" aria-label="How">
        {snippets.map(({ label }, i) => <button key={label} type="button" aria-pressed={chosen.label === label} onClick={() => setAt(i)}>{label}</button>)}
      </div>
      <Code text={chosen.text} />
      <p class="note">{chosen.hint}</p>
    </div>
  );
}

function Code({ text }: { text: string }) {
  const code = useRef<HTMLPreElement>(null);
  const [copied, setCopied] = useState('');
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied('Copied');
    } catch {
      getSelection()?.selectAllChildren(code.current!);
      setCopied('Selected: copy with Ctrl+C');
    }
    setTimeout(() => setCopied(''), 2500);
  };
  return (
    <div class="code">
      <pre ref={code} tabIndex={0}>{text}</pre>
      <button type="button" onClick={() => void copy()}>{copied || 'Copy'}</button>
    </div>
  );
}

/** An address that listens everywhere is reached under the name that this page was. */
function brokerAddress(): URL | null {
  const broker = overview.value?.brokers.find(({ kind }) => kind === 'mqtt');
  if (!broker || !URL.canParse(broker.url)) return null;
  const url = new URL(broker.url);
  if (url.hostname === '0.0.0.0' || url.hostname === '[::]') url.hostname = location.hostname;
  return url;
}

function snippetsFor(broker: URL | null, origin: string, secured: boolean): Snippet[] {
  const header = secured ? ` \\\n  -H "authorization: Bearer $GRUARD_TOKEN"` : '';
  const http: Snippet[] = [
    { label: 'curl', hint: 'An object or an array of objects; the answer counts what was accepted, once it is durable. A timestamp is optional.', text: `curl ${origin}/v1/readings${header} \\\n  -H 'content-type: application/json' \\\n  -d '{"device":"oven3","metrics":{"temperature":21.4,"humidity":40},"tags":{"line":"1"}}'` },
    { label: 'Line protocol', hint: 'As InfluxDB and Telegraf write it.', text: `curl ${origin}/v1/readings${header} \\\n  -H 'content-type: text/plain' \\\n  --data-binary 'climate,device=oven3,line=1 temperature=21.4,humidity=40'` },
  ];
  if (!broker) return http;
  const port = broker.port || (broker.protocol === 'mqtts:' ? '8883' : '1883');
  const tls = broker.protocol === 'mqtts:';
  return [
    { label: 'mosquitto_pub', hint: 'QoS 1: acknowledged once the reading is durable.', text: `mosquitto_pub -h ${broker.hostname} -p ${port}${tls ? ' --tls-use-os-certs' : ''} -q 1 \\\n  -t plant/line1/oven3 \\\n  -m '{"temperature":21.4,"humidity":40}'` },
    http[0],
    { label: 'Python', hint: 'pip install paho-mqtt', text: `import json, time\nimport paho.mqtt.client as mqtt\n\nclient = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)\n${tls ? 'client.tls_set()\n' : ''}client.connect("${broker.hostname}", ${port})\nclient.loop_start()\nwhile True:\n    client.publish("plant/line1/oven3", json.dumps({"temperature": 21.4, "humidity": 40}), qos=1)\n    time.sleep(10)` },
    { label: 'Node', hint: 'npm install mqtt', text: `import mqtt from 'mqtt';\n\nconst client = await mqtt.connectAsync('${broker.protocol}//${broker.hostname}:${port}');\nsetInterval(() => client.publish('plant/line1/oven3', JSON.stringify({ temperature: 21.4, humidity: 40 }), { qos: 1 }), 10_000);` },
    http[1],
  ];
}
