import { signal } from '@preact/signals';

/** Where the page is: the fleet, or a device, perhaps with an event opened. In the hash, so that links from elsewhere work whatever serves the page. */
export interface Route {
  device: string | null;
  event: string | null;
}

export const fleetHref = '#/';

export function deviceHref(device: string, event?: string): string {
  return `#/device/${encodeURIComponent(device)}${event === undefined ? '' : `?event=${encodeURIComponent(event)}`}`;
}

export function parseRoute(hash: string): Route {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [place, name] = path.split('/');
  if (place !== 'device' || !name) return { device: null, event: null };
  return { device: decode(name), event: new URLSearchParams(query).get('event') };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal<Route>(parseRoute(location.hash));
window.addEventListener('hashchange', () => {
  const from = route.value.device;
  route.value = parseRoute(location.hash);
  if (route.value.device !== from) window.scrollTo(0, 0);
});
