// An OpenID provider for tests: node server.mjs <settings.json>
//
// The settings name the address, the clients and the lifetime of an access token. The users stand in a file beside them that
// is read for each question, so that a test can change a user between two of them.
import { readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const users = () => JSON.parse(readFileSync(settings.users, 'utf8'));

const here = (_name, { all }, done) => done(null, all ? [{ address: '127.0.0.1', family: 4 }] : '127.0.0.1', 4);

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  cookies: { keys: [randomBytes(32).toString('hex')] },
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
    groups: ['groups'],
  },
  features: { backchannelLogout: { enabled: true } },
  // Any password will do: what is tested is not who may log in there.
  findAccount: (_context, id) => users()[id] && { accountId: id, claims: () => ({ sub: id, ...users()[id] }) },
  // All hosts of the tests are on this machine, and no name server knows them.
  httpOptions: () => ({ dnsLookup: here }),
  issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  ttl: { AccessToken: settings.accessTokenSeconds, IdToken: settings.accessTokenSeconds, Session: 3600, Grant: 3600, Interaction: 3600 },
});

for (const event of ['server_error', 'grant.error', 'authorization.error', 'end_session.error', 'backchannel.error']) {
  provider.on(event, (_context, error) => console.log(event, error?.message, error?.error_description ?? ''));
}
for (const event of ['backchannel.success', 'grant.success', 'end_session.success']) provider.on(event, () => console.log(event));

const { hostname, port } = new URL(settings.issuer);
provider.listen(Number(port), hostname, () => console.log('listening'));
