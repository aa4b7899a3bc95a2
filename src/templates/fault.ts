/** How a template is refused. */

/**
 * A template that cannot be taken (kind `template`), or that does not work out with the parameters given to it (kind `parameters`). The message begins with the
 * place, and names parameters, never their values: it may be stored and shown to others than the device that sent them.
 */
export class TemplateFault extends Error {
  override readonly name = 'TemplateFault';
  readonly kind: 'template' | 'parameters';
  /** Where in the template, e.g. `Resources.thing.Properties.ThingName`; empty for the template as a whole. */
  readonly place: string;
  constructor(kind: TemplateFault['kind'], place: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.place = place;
  }
}

const located = (place: string, problem: string): string => (place === '' ? problem : `${place}: ${problem}`);

/** The template itself is wrong. */
export function refuseTemplate(place: string, problem: string): never {
  throw new TemplateFault('template', place, located(place, problem));
}

/** The template does not work out with these parameters. */
export function refuseParameters(place: string, problem: string): never {
  throw new TemplateFault('parameters', place, located(place, problem));
}
