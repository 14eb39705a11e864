import type { Static } from 'typebox';
import type * as schemas from '../schemas.js';

/** The shapes of the wire, from the schemas that the server validates with. */
export type Device = Static<typeof schemas.Device>;
export type DeviceDetail = Static<typeof schemas.DeviceDetail>;
export type AnomalyEvent = Static<typeof schemas.AnomalyEvent>;
export type HealthVerdict = Static<typeof schemas.HealthVerdict>;
export type Point = Static<typeof schemas.Point>;
export type Overview = Static<typeof schemas.Overview>;
export type Health = Static<typeof schemas.Health>;
export type Problem = Static<typeof schemas.Problem>;
export type Verdict = Static<typeof schemas.Feedback>['verdict'];
export interface List<T> {
  items: T[];
  next_cursor: string | null;
}
export type LivePoint = Omit<Point, 'id' | 'scored'> & { metric: string };
