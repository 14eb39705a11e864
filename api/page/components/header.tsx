import { connectOpen } from './connect.js';
import { tokenNeeded } from '../client.js';
import { overview, stream } from '../fleet-state.js';
import { fleetHref } from '../route.js';
import { isDark, toggleTheme } from '../theme.js';
import { dateClock } from '../format.js';

const CONNECTION = { connecting: 'Connecting', live: 'Live', offline: 'Offline, trying again', paused: 'Paused' } as const;

export function Header() {
  const connection = tokenNeeded.value ? 'paused' : stream.value?.connection.value ?? 'connecting';
  const now = overview.value;
  return (
    <header class="top">
      <a class="brand" href={fleetHref} aria-label="gruard, to the fleet">
        <svg viewBox="0 0 40 20" aria-hidden="true"><rect x="0" y="7" width="40" height="8" rx="1" /><path d="M1 11h13l3 1 4-10 3 11 3-2h12" /><circle cx="21" cy="2.6" r="2.3" /></svg>
        gruard
      </a>
      <div class="top-right">
        {now && <time class="num quiet wide-only" dateTime={now.now} title="The newest time the detector knows">{dateClock(Date.parse(now.now))}</time>}
        <span class={`link ${connection}`} role="status"><i aria-hidden="true" />{tokenNeeded.value ? 'Token needed' : CONNECTION[connection]}</span>
        <button type="button" class="plain icon" onClick={toggleTheme} aria-label={isDark.value ? 'Light colors' : 'Dark colors'} title={isDark.value ? 'Light colors' : 'Dark colors'}>
          <svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6" /><path d="M8 2a6 6 0 0 1 0 12z" /></svg>
        </button>
        <button type="button" class="primary" onClick={() => (connectOpen.value = true)}>Connect<span class="wide-only"> your fleet</span></button>
      </div>
    </header>
  );
}
