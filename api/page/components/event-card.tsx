import { useState } from 'preact/hooks';
import { ApiError, call } from '../client.js';
import { nowMs, upsertEvent } from '../fleet-state.js';
import { dateClock, duration, quantity, score, sentence } from '../format.js';
import type { AnomalyEvent, Verdict } from '../types.js';

const CHOICES: { verdict: Verdict; label: string; hint: string; done: string }[] = [
  { verdict: 'confirm', label: 'Confirm fault', hint: 'It was a fault. It does not count against the next one like it.', done: 'Confirmed as a fault' },
  { verdict: 'accept', label: 'Accept as new normal', hint: 'The change is wanted: learn it, and stop alarming.', done: 'Accepted as the new normal' },
  { verdict: 'false_alarm', label: 'False alarm', hint: 'It was nothing: be less sensitive to this here.', done: 'Marked as a false alarm' },
];

/** An event in full, and what a person says to it. */
export function EventCard({ event, onClose }: { event: AnomalyEvent; onClose: () => void }) {
  const opened = Date.parse(event.opened_at);
  const end = event.resolved_at ? Date.parse(event.resolved_at) : nowMs.value;
  return (
    <section class={`card event ${event.severity}`} aria-label="Event">
      <div class="card-head">
        <h2><span class="badge">{event.severity}</span> {sentence(event.kind)} on {event.metric === '*' ? 'all metrics together' : event.metric}</h2>
        <button type="button" class="plain icon" onClick={onClose} aria-label="Close the event" title="Close (Escape)">✕</button>
      </div>
      <p class="reason">{event.reason}</p>
      <div class="event-body">
        <dl class="facts">
          <div><dt>State</dt><dd>{sentence(event.state)}</dd></div>
          <div><dt>Opened</dt><dd class="num">{dateClock(opened)}</dd></div>
          <div><dt>{event.resolved_at ? 'Lasted' : 'Open for'}</dt><dd class="num">{duration(end - opened)}</dd></div>
          <div><dt>Readings</dt><dd class="num">{event.readings}</dd></div>
          <div><dt>Peak score</dt><dd class="num">{score(event.peak_score)}</dd></div>
          {event.incident && <div><dt>Incident</dt><dd class="mono">{event.incident}</dd></div>}
        </dl>
        <Expected event={event} />
        {event.metrics.length > 0 && <Contributions event={event} />}
      </div>
      <Feedback event={event} />
    </section>
  );
}

/** Where the reading lay beside what was expected, at the peak; nothing where it lay within: then something else is off, which the reason tells. */
function Expected({ event }: { event: AnomalyEvent }) {
  const { actual, yhat_lower: lower, yhat_upper: upper, yhat } = event;
  if (actual === null || lower === null || upper === null || (actual >= lower && actual <= upper)) return null;
  const from = Math.min(actual, lower);
  const to = Math.max(actual, upper);
  const span = to - from || 1;
  const x = (value: number): number => 8 + ((value - from) / span) * 184;
  return (
    <figure class="expected">
      <figcaption>At the peak, {dateClock(Date.parse(event.peak_at))}</figcaption>
      <svg viewBox="0 0 200 22" role="img" aria-label={`expected ${quantity(lower)} to ${quantity(upper)}, got ${quantity(actual)}`}>
        <line class="rail" x1="2" x2="198" y1="11" y2="11" />
        <rect class="band" x={x(lower)} y="4" width={Math.max(2, x(upper) - x(lower))} height="14" />
        {yhat !== null && <line class="yhat" x1={x(yhat)} x2={x(yhat)} y1="4" y2="18" />}
        <circle class="actual" cx={x(actual)} cy="11" r="5" />
      </svg>
      <p class="num"><span>expected <b>{quantity(lower)}</b> to <b>{quantity(upper)}</b></span> <span>got <b class="got">{quantity(actual)}</b></span></p>
    </figure>
  );
}

function Contributions({ event }: { event: AnomalyEvent }) {
  return (
    <figure class="contributions">
      <figcaption>Which metrics take part</figcaption>
      <ul>
        {event.metrics.slice(0, 6).map(({ metric, contribution }) => (
          <li key={metric}><span class="mono">{metric}</span><span class="bar"><i style={{ width: `${Math.round(Math.max(0, Math.min(1, contribution)) * 100)}%` }} /></span><span class="num">{Math.round(contribution * 100)} %</span></li>
        ))}
      </ul>
    </figure>
  );
}

function Feedback({ event }: { event: AnomalyEvent }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const given = event.feedback && CHOICES.find((choice) => choice.verdict === event.feedback!.verdict);
  const send = async (verdict: Verdict): Promise<void> => {
    setBusy(true);
    setProblem('');
    try {
      upsertEvent(await call<AnomalyEvent>(`v1/anomalies/${encodeURIComponent(event.id)}/feedback`, { method: 'POST', body: { verdict } }));
    } catch (error) {
      setProblem(error instanceof ApiError ? `${error.problem.detail} ${error.problem.next}` : 'The server cannot be reached.');
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="feedback">
      {CHOICES.map(({ verdict, label, hint }) => (
        <button key={verdict} type="button" disabled={busy} aria-pressed={given?.verdict === verdict} title={hint} onClick={() => void send(verdict)}>{label}</button>
      ))}
      <p role="status">{problem !== '' ? <span class="problem">{problem}</span> : given && event.feedback ? `${given.done} by ${event.feedback.by}.` : 'Your answer changes what gruard does next on this series.'}</p>
    </div>
  );
}
