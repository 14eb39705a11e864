import { GruardError } from '../../core/errors.js';

/** What a topic says about the messages on it. */
export interface Route {
  /** The device of a payload that names none; undefined where the topic has none. */
  device: string | undefined;
  /** True where a rule names the device: then the payload's own name for it does not count. */
  deviceIsFixed: boolean;
  /** For a payload that is one bare value. */
  scalarDevice: string | undefined;
  scalarMetric: string | undefined;
  /** Where a rule has {metric}: goes before the names in the payload (`{metric}.name`; a lone `value` is `{metric}` itself). */
  metricPrefix: string | undefined;
  tags: Record<string, string> | undefined;
  excluded: boolean;
  levels: number;
}

/**
 * One rule of the configuration: a topic filter of levels; a level is text, `+`, `{device}`, `{metric}`, or `{anything}`, which becomes a tag; `#` may end it.
 * `{device}` may stand several times: the levels are joined by `/`.
 */
export interface TopicRule {
  topic: string;
  /** A fixed device for all that matches. */
  device?: string;
  tags?: Record<string, string>;
}

export interface TopicSettings {
  rules: TopicRule[];
  /** Topic filters; where there are any, only what matches one is read. */
  include: string[];
  exclude: string[];
}

/** Layouts that are so common that they need no rule. */
const WELL_KNOWN: TopicRule[] = [
  { topic: 'tele/{device}/+' },
  { topic: 'stat/{device}/+' },
  { topic: 'shellies/{device}/#' },
];

type Level = { kind: 'text'; text: string } | { kind: 'any' } | { kind: 'rest' } | { kind: 'name'; name: string };

interface Pattern {
  levels: Level[];
  rule: TopicRule;
}

const CACHED_TOPICS = 100_000;
/** A topic may have 65,535 bytes: only usual ones are worth remembering. */
const CACHED_TOPIC_CHARS = 256;

/** Finds the route of a topic; remembers it (a bounded number of them), since a fleet says the same topics again and again. */
export class Topics {
  readonly #patterns: Pattern[];
  readonly #include: Pattern[];
  readonly #exclude: Pattern[];
  readonly #cache = new Map<string, Route>();

  constructor(settings: TopicSettings) {
    this.#patterns = [...settings.rules, ...WELL_KNOWN].map(compile);
    this.#include = settings.include.map((topic) => compile({ topic }));
    this.#exclude = settings.exclude.map((topic) => compile({ topic }));
  }

  route(topic: string): Route {
    let route = this.#cache.get(topic);
    if (route === undefined) {
      route = this.#find(topic);
      if (topic.length > CACHED_TOPIC_CHARS) return route;
      if (this.#cache.size >= CACHED_TOPICS) this.#cache.clear();
      this.#cache.set(topic, route);
    }
    return route;
  }

  #find(topic: string): Route {
    const levels = topic.split('/');
    const route = defaultRoute(levels);
    const matches = (pattern: Pattern): boolean => matchLevels(pattern.levels, levels);
    route.excluded = (this.#include.length > 0 && !this.#include.some(matches)) || this.#exclude.some(matches);
    const pattern = this.#patterns.find(matches);
    if (pattern) applyRule(route, pattern, levels);
    return route;
  }
}

/** The last level is the device; of a bare value it is the metric, and the level before it is the device. */
function defaultRoute(levels: string[]): Route {
  const named = levels.filter((level) => level !== '');
  return {
    device: named.at(-1),
    deviceIsFixed: false,
    scalarDevice: named.at(-2),
    scalarMetric: named.length > 1 ? named.at(-1) : undefined,
    metricPrefix: undefined,
    tags: undefined,
    excluded: false,
    levels: levels.length,
  };
}

function compile(rule: TopicRule): Pattern {
  const parts = rule.topic.split('/');
  const levels = parts.map((part, i): Level => {
    if (part === '+') return { kind: 'any' };
    if (part === '#') {
      if (i < parts.length - 1) throw new GruardError('CONFIG_INVALID', `topic filter ${JSON.stringify(rule.topic)}: # may only stand at its end`);
      return { kind: 'rest' };
    }
    if (part.startsWith('{') && part.endsWith('}') && part.length > 2) return { kind: 'name', name: part.slice(1, -1) };
    if (/[+#{}]/.test(part)) throw new GruardError('CONFIG_INVALID', `topic filter ${JSON.stringify(rule.topic)}: +, # and {name} take a whole level`);
    return { kind: 'text', text: part };
  });
  return { levels, rule };
}

/** As MQTT 4.7.1: `#` also matches the level above it. */
function matchLevels(pattern: Level[], levels: string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    const p = pattern[i];
    if (p.kind === 'rest') return true;
    if (i >= levels.length) return false;
    if (p.kind === 'text' && p.text !== levels[i]) return false;
    if (p.kind === 'name' && levels[i] === '') return false;
  }
  return pattern.length === levels.length;
}

function applyRule(route: Route, { levels: pattern, rule }: Pattern, levels: string[]): void {
  const device: string[] = [];
  const metric: string[] = [];
  const tags = new Map<string, string>(Object.entries(rule.tags ?? {}));
  pattern.forEach((p, i) => {
    if (p.kind !== 'name') return;
    if (p.name === 'device') device.push(levels[i]);
    else if (p.name === 'metric') metric.push(levels[i]);
    else tags.set(p.name, levels[i]);
  });
  const name = rule.device ?? (device.length > 0 ? device.join('/') : undefined);
  if (name !== undefined) {
    route.device = name;
    route.scalarDevice = name;
    if (pattern.at(-1)!.kind === 'rest' && levels.length >= pattern.length) route.scalarMetric = levels.slice(pattern.length - 1).join('.');
    route.deviceIsFixed = true;
  }
  if (metric.length > 0) {
    route.metricPrefix = metric.join('/');
    route.scalarMetric = route.metricPrefix;
  }
  if (tags.size > 0) route.tags = Object.fromEntries(tags);
}
