/** PEM. */
export interface TlsPair {
  cert: string;
  key: string;
}

/** What a server shows of itself, and how it learns of a renewed certificate. */
export interface TlsIdentity extends TlsPair {
  /** Hands over each later pair, and what keeps one from being read (the pair before stays in use). Returns what ends it. */
  watch?(renewed: (pair: TlsPair) => void, failed: (thrown: unknown) => void): () => void;
}
