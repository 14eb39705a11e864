/** What a reading was found to be. */
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
  /** Equal readings in a row before this one. */
  run: number;
}
