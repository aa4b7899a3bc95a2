/** The node cannot start; `message` is one sentence with the cause and what to do. */
export class StartProblem extends Error {
  override readonly name = 'StartProblem';
}
