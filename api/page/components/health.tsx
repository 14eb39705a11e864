import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { Dialog } from './dialog.js';
import { authorization, hasToken } from '../client.js';
import { count, duration, sentence } from '../format.js';
import type { Health } from '../types.js';

export const healthOpen = signal(false);
const REFRESH_MS = 2000;

export function HealthDialog() {
  return <Dialog open={healthOpen} title="Health of gruard"><Checks /></Dialog>;
}

function Checks() {
  const [health, setHealth] = useState<Health | null>(null);
  useEffect(() => {
    // Not `call`: a failing gruard answers 503 with the same shape.
    const load = (): void => void fetch(new URL('v1/health', document.baseURI), { headers: authorization() }).then((response) => response.json()).then((body) => setHealth(body as Health), () => {});
    load();
    const timer = setInterval(load, REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  if (!health) return <p>Loading…</p>;
  return (
    <>
      <p>{sentence(health.status)}{health.version && `, version ${health.version}`}{health.uptime_ms !== undefined && `, up for ${duration(health.uptime_ms)}`}</p>
      <table>
        <tbody>
          {health.checks?.map((check) => <tr key={check.name}><th scope="row">{check.name}</th><td class={`health ${check.status}`}>{check.status}</td><td>{check.detail}</td></tr>)}
          {health.sources?.map((source) => <tr key={source.name}><th scope="row">{source.name}</th><td class={`health ${source.state === 'connected' ? 'ok' : 'degraded'}`}>{source.state}</td><td>{source.address}{source.detail && `: ${source.detail}`} · {count(source.received)} received{source.waiting > 0 && `, ${count(source.waiting)} waiting`}</td></tr>)}
        </tbody>
      </table>
      <p class="note"><a href="./docs">API documentation</a>{!hasToken() && <> · <a href="./metrics">Prometheus metrics</a></>}</p>
    </>
  );
}
