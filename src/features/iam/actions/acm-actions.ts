/** What each operation of ACM asks of IAM. Source: service authorization reference, "Actions, resources, and condition keys for AWS Certificate Manager". */
import { all, anywhere, type Demand, keyed, type Rows, type Scope, tagged, untagged } from './demand.ts';

const certificate = (arn: string | undefined): Demand => ({ on: [arn ?? ''] });

/** A certificate that is not there yet. Observed: ministryofjustice/modernisation-platform #3313. */
const newCertificate = ({ account }: Scope): Demand => ({
  on: [`arn:aws:acm:${account.region}:${account.accountId}:certificate/*`],
});

export const acmRows: Rows<'acm'> = {
  AddTagsToCertificate: ({ CertificateArn, Tags }) => all(certificate(CertificateArn), tagged(Tags)),
  DeleteCertificate: ({ CertificateArn }) => certificate(CertificateArn),
  DescribeCertificate: ({ CertificateArn }) => certificate(CertificateArn),
  ExportCertificate: ({ CertificateArn }) => certificate(CertificateArn),
  GetAccountConfiguration: anywhere,
  GetCertificate: ({ CertificateArn }) => certificate(CertificateArn),
  ImportCertificate: ({ CertificateArn, Tags }, scope) =>
    all(CertificateArn === undefined ? newCertificate(scope) : certificate(CertificateArn), tagged(Tags)),
  ListCertificates: anywhere,
  ListTagsForCertificate: ({ CertificateArn }) => certificate(CertificateArn),
  PutAccountConfiguration: anywhere,
  RemoveTagsFromCertificate: ({ CertificateArn, Tags = [] }) =>
    all(certificate(CertificateArn), tagged(Tags), untagged(Tags.map(({ Key = '' }) => Key))),
  RenewCertificate: ({ CertificateArn }) => certificate(CertificateArn),
  RequestCertificate: (input, scope) =>
    all(
      newCertificate(scope),
      keyed({
        'acm:DomainNames': [input.DomainName ?? '', ...(input.SubjectAlternativeNames ?? [])].map((name) =>
          name.toLowerCase(),
        ),
        'acm:ValidationMethod': input.ValidationMethod ?? 'EMAIL',
        'acm:KeyAlgorithm': input.KeyAlgorithm,
        'acm:CertificateTransparencyLogging': input.Options?.CertificateTransparencyLoggingPreference ?? 'ENABLED',
        'acm:CertificateAuthority': input.CertificateAuthorityArn,
        'acm:Export': input.Options?.Export,
      }),
      tagged(input.Tags),
    ),
  ResendValidationEmail: ({ CertificateArn }) => certificate(CertificateArn),
  RevokeCertificate: ({ CertificateArn }) => certificate(CertificateArn),
  UpdateCertificateOptions: ({ CertificateArn }) => certificate(CertificateArn),
};
