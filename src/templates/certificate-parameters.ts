/** The parameters that the service gives itself. Source: spec provisioning.md 3; developer guide, "Just-in-time provisioning". */

/** The id of the certificate that is being provisioned. */
export const certificateIdParameter = 'AWS::IoT::Certificate::Id';

/**
 * The parameters of just-in-time provisioning that are taken from the certificate's subject, by the type of the attribute. SerialNumber is the subject's
 * attribute, not the number that the issuer gave to the certificate.
 */
export const subjectParameters: ReadonlyMap<string, { readonly type: string; readonly shortName: string }> = new Map([
  ['AWS::IoT::Certificate::Country', { type: '2.5.4.6', shortName: 'C' }],
  ['AWS::IoT::Certificate::Organization', { type: '2.5.4.10', shortName: 'O' }],
  ['AWS::IoT::Certificate::OrganizationalUnit', { type: '2.5.4.11', shortName: 'OU' }],
  ['AWS::IoT::Certificate::DistinguishedNameQualifier', { type: '2.5.4.46', shortName: 'dnQualifier' }],
  ['AWS::IoT::Certificate::StateName', { type: '2.5.4.8', shortName: 'ST' }],
  ['AWS::IoT::Certificate::CommonName', { type: '2.5.4.3', shortName: 'CN' }],
  ['AWS::IoT::Certificate::SerialNumber', { type: '2.5.4.5', shortName: 'serialNumber' }],
]);

export type TemplateKind = 'FLEET_PROVISIONING' | 'JITP' | 'REGISTER_THING';

/** Whether a template of this kind may name the parameter without declaring it. */
export function isPseudoParameter(kind: TemplateKind, name: string): boolean {
  if (kind === 'REGISTER_THING') return false;
  return name === certificateIdParameter || (kind === 'JITP' && subjectParameters.has(name));
}
