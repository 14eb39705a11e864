/** Plots as inline SVG: nothing to load, nothing to run. */

export interface Line {
  points: { x: number; y: number }[];
  colour: string;
  /** A shaded area between two lines. */
  band?: { lower: { x: number; y: number }[]; upper: { x: number; y: number }[] };
}

const WIDTH = 620;
const HEIGHT = 220;
const MARGIN = { left: 64, right: 8, top: 8, bottom: 24 };

export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Line plot. `frame` holds the y values that must be in view (default: those of the lines); what lies far outside is cut off. */
export function lines(all: readonly Line[], caption: string, frame?: ArrayLike<number>): string {
  const xs = all.flatMap((line) => line.points.map((p) => p.x));
  const ys = (frame === undefined ? all.flatMap((line) => line.points.map((p) => p.y)) : Array.from(frame)).filter(Number.isFinite);
  const room = frame === undefined ? 0.02 : 0.25;
  const spread = Math.max(...ys) - Math.min(...ys) || Math.abs(ys[0]) || 1;
  const low = Math.min(...ys) - room * spread;
  const high = Math.max(...ys) + room * spread;
  const left = Math.min(...xs);
  const right = Math.max(...xs, left + 1);
  const at = (p: { x: number; y: number }): string => {
    const y = Math.min(high, Math.max(low, p.y));
    const px = MARGIN.left + ((p.x - left) / (right - left)) * (WIDTH - MARGIN.left - MARGIN.right);
    return `${px.toFixed(1)},${(HEIGHT - MARGIN.bottom - ((y - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom)).toFixed(1)}`;
  };
  const path = (points: Line['points']): string => points.filter((p) => Number.isFinite(p.y)).map(at).join(' ');
  const shapes = all.map(({ points, colour, band }) => {
    const area = band === undefined ? '' : `<polygon points="${path(band.lower)} ${path([...band.upper].reverse())}" fill="${colour}" opacity=".18"/>`;
    return `${area}<polyline points="${path(points)}" fill="none" stroke="${colour}" stroke-width="1.2"/>`;
  });
  const label = (x: number, y: number, text: string, anchor: string): string => `<text x="${x}" y="${y}" text-anchor="${anchor}">${escape(text)}</text>`;
  const labels = [
    label(MARGIN.left - 6, MARGIN.top + 10, short(high), 'end'), label(MARGIN.left - 6, HEIGHT - MARGIN.bottom, short(low), 'end'),
    label(MARGIN.left, HEIGHT - 8, short(left), 'start'), label(WIDTH - MARGIN.right, HEIGHT - 8, short(right), 'end'),
  ];
  return figure(`${shapes.join('')}${labels.join('')}`, caption);
}

/** Histogram of shares, with a dashed line where each bar should end. */
export function bars(shares: readonly number[], expected: number, caption: string): string {
  const high = Math.max(...shares, 2 * expected);
  const width = (WIDTH - MARGIN.left - MARGIN.right) / shares.length;
  const y = (share: number): number => HEIGHT - MARGIN.bottom - (share / high) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const rects = shares.map((share, i) => `<rect x="${(MARGIN.left + i * width).toFixed(1)}" y="${y(share).toFixed(1)}" width="${(width - 1).toFixed(1)}" height="${(HEIGHT - MARGIN.bottom - y(share)).toFixed(1)}" fill="#1668c7"/>`);
  const line = `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(expected)}" y2="${y(expected)}" stroke="#1c2430" stroke-dasharray="5 4"/>`;
  return figure(rects.join('') + line, caption);
}

function figure(content: string, caption: string): string {
  return `<figure><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${escape(caption)}" font-size="11" fill="#566">${content}</svg><figcaption>${escape(caption)}</figcaption></figure>`;
}

function short(x: number): string {
  return Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(1) : String(Number(x.toPrecision(4)));
}
