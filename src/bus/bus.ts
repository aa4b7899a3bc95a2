/** Carries notices and live messages between nodes: at most once, unordered between subjects. Nothing that must survive travels here. */
export interface Bus {
  publish(subject: string, payload: Uint8Array): void;
  /** `subject` may end in `.>`: everything below. The returned function ends the subscription. */
  subscribe(subject: string, receive: (payload: Uint8Array, subject: string) => void): () => void;
  close(): Promise<void>;
}
