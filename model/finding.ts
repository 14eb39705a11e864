/** What a reading was found to be; valid until the next call. */
export interface Finding {
  /** Log odds of the channel that is most surprised, its offset included, with the support of the others; SILENT where none is. */
  odds: number;
  channel: number;
  /** Whether it lies above what was seen or forecast. */
  above: boolean;
  /** Whether the value is beyond all that the series has shown. */
  extreme: boolean;
  /** Readings for which that channel has shown nothing novel. */
  unseen: number;
  /** The working value less the series' anchor, its scale, the squared error of the one-step forecast in squared scales. */
  v: number;
  scale: number;
  square: number;
  /** Equal readings in a row before this one, and whether they are the longest run so far. */
  run: number;
  stuck: boolean;
}
