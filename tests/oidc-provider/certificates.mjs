// Certificates that clients show over TLS (RFC 8705). In options and answers they are DER in base64.
import { X509Certificate, createHash, createPrivateKey } from 'node:crypto';
import { createServer } from 'node:https';

const der = (base64) => Buffer.from(base64, 'base64');
const read = (base64) => new X509Certificate(der(base64));

// A server that asks for a certificate, and leaves it to others what to think of one or of none.
export function tlsServer({ key, certificate, authority }) {
  const pem = createPrivateKey({ key: der(key), format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' });
  const [cert, ca] = [certificate, authority].map((text) => read(text).toString());
  return createServer({ key: pem, cert, ca, requestCert: true, rejectUnauthorized: false });
}

// What this connection's client has shown.
export const shown = (socket) => socket.getPeerX509Certificate?.();

export const thumbprint = (certificate) => (
  certificate && createHash('sha256').update(certificate.raw).digest('base64url'));

// The clients of section 2.1.2, of section 2.2, and a public one of section 4.
export function clientsWith({ self_signed: known }, client) {
  const bound = { tls_client_certificate_bound_access_tokens: true };
  const keys = known.map(read).map((certificate) => ({
    ...certificate.publicKey.export({ format: 'jwk' }),
    x5c: [certificate.raw.toString('base64')],
    'x5t#S256': thumbprint(certificate),
  }));
  return {
    certificate: {
      ...client('certificate', 'tls_client_auth'), ...bound, tls_client_auth_san_dns: 'client.test',
    },
    self_signed: { ...client('self_signed', 'self_signed_tls_client_auth'), ...bound, jwks: { keys } },
    public_certificate: { ...client('public_certificate', 'none'), ...bound },
  };
}

// The provider's side of it.
export const feature = {
  enabled: true,
  certificateBoundAccessTokens: true,
  selfSignedTlsClientAuth: true,
  tlsClientAuth: true,
  getCertificate: ({ socket }) => shown(socket),
  certificateAuthorized: ({ socket }) => socket.authorized,
  certificateSubjectMatches: ({ socket }, property, expected) => (
    property === 'tls_client_auth_san_dns' && shown(socket).subjectAltName === `DNS:${expected}`),
};
