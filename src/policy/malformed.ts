/** A policy document that CreatePolicy must refuse. Source: spec policy.md 2.1; the wire calls it MalformedPolicyException, HTTP 400. */
export class MalformedPolicy extends Error {
  override readonly name = 'MalformedPolicy';
  /** Where in the document, e.g. `Statement[1].Effect`; empty for the document as a whole. */
  readonly place: string;
  constructor(place: string, problem: string, options?: ErrorOptions) {
    super(place === '' ? problem : `${place}: ${problem}`, options);
    this.place = place;
  }
}
