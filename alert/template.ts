import type { NotificationBody } from './notification.js';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const PLACEHOLDER = /\{\{([a-z_]{1,32})\}\}/g;

/**
 * A JSON value in which `{{field}}` in strings stands for a field of the notification: a string that is nothing else becomes the field itself (a number stays a
 * number), within other text it becomes its text. The values go in after the template was read, so no name or reason can change its structure.
 */
export function filled(template: Json, body: NotificationBody): Json {
  if (typeof template === 'string') return filledText(template, body);
  if (Array.isArray(template)) return template.map((item) => filled(item, body));
  if (template === null || typeof template !== 'object') return template;
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, filled(value, body)]));
}

/** The names in a template that are no field: for a clear error when it is read. */
export function unknownFields(template: Json, fields: readonly string[]): string[] {
  if (typeof template === 'string') return [...template.matchAll(PLACEHOLDER)].map((match) => match[1]).filter((name) => !fields.includes(name));
  if (template === null || typeof template !== 'object') return [];
  return Object.values(template).flatMap((value) => unknownFields(value, fields));
}

function filledText(text: string, body: NotificationBody): Json {
  const fields = new Map<string, Json>(Object.entries(body));
  const whole = /^\{\{([a-z_]{1,32})\}\}$/.exec(text);
  if (whole) return fields.get(whole[1]) ?? null;
  return text.replace(PLACEHOLDER, (_, name: string) => {
    const value = fields.get(name);
    return value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
  });
}
