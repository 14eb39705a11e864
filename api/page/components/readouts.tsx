import { healthOpen } from './health.js';
import { nowMs, overview, rates, statusFilter } from '../fleet-state.js';
import { count, near, sentence } from '../format.js';

/** The instruments: quiet while all is well, colored where it is not. */
export function Readouts() {
  const now = overview.value;
  if (!now) return <div class="readouts loading" aria-hidden="true" />;
  const { critical, warning, info } = now.open_anomalies;
  const open = critical + warning + info;
  const warming = now.warming_up;
  return (
    <dl class="readouts">
      <div><dt>Devices</dt><dd class="num">{count(now.devices)}<small>{count(now.series)} series</small></dd></div>
      <div><dt>Readings/s</dt><dd class="num rate"><span>{count(now.readings_per_second)}</span><Spark values={rates.value} /></dd></div>
      <div class={critical > 0 ? 'alarm' : ''}>
        <dt>Open anomalies</dt>
        <dd class="num">
          {open}
          {open > 0 && <small class="severities">
            {critical > 0 && <span class="critical">{critical} critical</span>}
            {warning > 0 && <span class="warning">{warning} warning</span>}
            {info > 0 && <span class="info">{info} info</span>}
          </small>}
        </dd>
      </div>
      <div>
        <dt>Warming up</dt>
        <dd class="num">
          <button type="button" class="plain" onClick={() => (statusFilter.value = 'warming_up')} aria-label={`${warming.devices} devices warming up: show them`}>{count(warming.devices)}</button>
          <small>{now.devices === 0 ? '' : warming.devices === 0 ? 'all ready' : warming.ready_at ? `ready ${near(Date.parse(warming.ready_at), nowMs.value)}` : 'learning their pace'}</small>
        </dd>
      </div>
      <div>
        <dt>Unhealthy</dt>
        <dd class="num"><button type="button" class="plain" onClick={() => (statusFilter.value = 'unhealthy')} aria-label={`${now.unhealthy} unhealthy devices: show them`}>{count(now.unhealthy)}</button>{now.unhealthy > 0 && <small>silent, stuck…</small>}</dd>
      </div>
      <div class={now.health === 'failing' ? 'alarm' : ''}>
        <dt>gruard</dt>
        <dd><button type="button" class={`plain health ${now.health}`} onClick={() => (healthOpen.value = true)}>{sentence(now.health === 'ok' ? 'healthy' : now.health)}</button><small>details</small></dd>
      </div>
    </dl>
  );
}

/** The last minute, from zero. */
function Spark({ values }: { values: number[] }) {
  if (values.length < 2) return null;
  const top = Math.max(...values, 1);
  const points = values.map((value, i) => `${(i / (values.length - 1)) * 60},${18 - (value / top) * 15}`).join(' ');
  return <svg class="spark" viewBox="0 0 60 20" preserveAspectRatio="none" aria-hidden="true"><polyline points={points} /></svg>;
}
