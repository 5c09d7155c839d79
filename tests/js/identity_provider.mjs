// An OpenID provider that other people wrote and certified, with one company's people in it.
//
// argv: {"port", "jwks", "clients", "people": {NAME: CLAIMS}}. Nobody types anything: whoever `login_hint` names signs in,
// at once or, if their claims say `signed_in_ago`, that many seconds ago; `refuses: true` is somebody who cancels.
// The sign-in is as strong as it was asked to be. Prints the issuer when it listens.
import Provider from 'oidc-provider';

const task = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${task.port}`;
const OURS = ['signed_in_ago', 'refuses'];

const provider = new Provider(issuer, {
  clients: task.clients,
  jwks: task.jwks,
  cookies: { keys: ['for-tests'] },
  acrValues: ['urn:example:gold', 'urn:example:silver'],
  claims: {
    openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'],
    acr: null, amr: null, auth_time: null, iss: null, sid: null,
  },
  scopes: ['openid', 'email', 'profile', 'groups'],
  enabledJWA: {
    idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'Ed25519'],
    clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'Ed25519'],
  },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false }, claimsParameter: { enabled: true } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, name) => {
    const told = Object.fromEntries(Object.entries(task.people[name]).filter(([it]) => !OURS.includes(it)));
    return { accountId: name, claims: () => ({ sub: name, ...told }) };
  },
});

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { params, prompt, grantId, session } = await provider.interactionDetails(ctx.req, ctx.res);
  const name = params.login_hint ?? 'dev';
  if (prompt.name === 'login') {
    if (task.people[name].refuses) {
      const refusal = { error: 'access_denied', error_description: 'they <b>cancelled</b>' };
      return ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, refusal));
    }
    const ts = Math.floor(Date.now() / 1000) - (task.people[name].signed_in_ago ?? 0);
    const acr = params.acr_values?.split(' ')[0];
    const login = { accountId: name, ts, amr: ['pwd'], ...(acr ? { acr } : {}) };
    return ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, { login }));
  }
  const accountId = session.accountId;
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return ctx.redirect(
    await provider.interactionResult(ctx.req, ctx.res, { consent }, { mergeWithLastSubmission: true }),
  );
});

provider.listen(task.port, '127.0.0.1', () => console.log(issuer));
