import { useEffect } from 'preact/hooks';
import { tokenNeeded } from './client.js';
import { ConnectDialog } from './components/connect.js';
import { DevicePage } from './components/device.js';
import { Feed } from './components/feed.js';
import { FleetPage } from './components/fleet.js';
import { Header } from './components/header.js';
import { HealthDialog } from './components/health.js';
import { TokenForm } from './components/token.js';
import { announcement, deviceOf, narrowView, openItems, start } from './fleet-state.js';
import { route } from './route.js';

export function App() {
  useEffect(start, []);
  const { device, event } = route.value;
  useEffect(() => {
    document.title = device === null ? 'gruard' : `${device} · gruard`;
    narrowView.value = 'main';
  }, [device, event]);
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>Skip to content</a>
      <Header />
      {tokenNeeded.value ? <TokenForm detail={tokenNeeded.value.detail} /> : (
        <div class={`layout show-${narrowView.value}`}>
          <NarrowTabs device={device} />
          <main id="main" tabIndex={-1}>
            {device === null ? <FleetPage /> : <DevicePage key={device} name={device} eventId={event} />}
          </main>
          <Feed device={device} selected={event} />
        </div>
      )}
      <ConnectDialog />
      <HealthDialog />
      <div class="hidden" role="status" aria-live="polite">{announcement.value}</div>
    </>
  );
}

/** Where there is no room for both: the devices (or charts), or the events. */
function NarrowTabs({ device }: { device: string | null }) {
  const open = device === null ? openItems.value.length : openItems.value.filter((item) => deviceOf(item) === device).length;
  const tab = (view: 'main' | 'feed', label: string) => <button type="button" aria-pressed={narrowView.value === view} onClick={() => (narrowView.value = view)}>{label}</button>;
  return <div class="segments narrow-tabs" role="group" aria-label="View">{tab('main', device === null ? 'Devices' : 'Charts')}{tab('feed', open > 0 ? `Events (${open} open)` : 'Events')}</div>;
}

/** The hash is the page's route, so the link must not change it. */
function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}
