// An app of a shop, written with openid-client as its documentation has it, and a customer at a browser.
// What it did is printed as one JSON document; anything that fails ends it with a failure.
import assert from 'node:assert/strict'
import * as client from 'openid-client'

const given = JSON.parse(process.env.GIVEN)
const issuer = new URL(given.issuer)
const scope = 'openid profile email offline_access orders:own'

function discover(app) {
  // The shop of the test speaks plain HTTP; over TLS the options are not needed.
  return client.discovery(issuer, app.id, app.secret ?? undefined,
    app.secret ? undefined : client.None(), { execute: [client.allowInsecureRequests] })
}

class Browser {
  cookies = new Map()

  async send(address, options = {}) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(new URL(address, issuer),
      { redirect: 'manual', ...options, headers: { cookie, ...options.headers } })
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split('=')
      this.cookies.set(name, value)
    }
    const there = answer.headers.get('location')
    if (there === null) return { page: await answer.text(), status: answer.status }
    return there.startsWith('/') ? this.send(there) : { called: new URL(there) }
  }

  submit({ page }, typed) {
    const form = page.slice(page.indexOf('<form'), page.indexOf('</form>'))
    const fields = {}
    for (const [, name, value] of form.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)) {
      fields[name] = value.replaceAll('&amp;', '&').replaceAll('&#x27;', "'").replaceAll('&quot;', '"')
    }
    return this.send(form.match(/action="([^"]+)"/)[1], {
      method: 'POST',
      body: new URLSearchParams({ ...fields, ...typed }),
      headers: { origin: issuer.origin },
    })
  }

  signIn(shown) {
    return this.submit(shown, { email: given.email, password: given.password })
  }
}

async function signIn(app) {
  const config = await discover(app)
  const verifier = client.randomPKCECodeVerifier()
  const [nonce, state] = [client.randomNonce(), client.randomState()]
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: given.called, scope, nonce, state,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  })
  const browser = new Browser()
  const { called } = await browser.submit(
    await browser.signIn(await browser.send(address)), { decision: 'allow' })
  const tokens = await client.authorizationCodeGrant(config, called, {
    pkceCodeVerifier: verifier, expectedNonce: nonce, expectedState: state, idTokenExpected: true,
    maxAge: 300,
  })
  const claims = tokens.claims()
  const user = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
  assert.equal(user.email, given.email)
  const orders = await client.fetchProtectedResource(
    config, tokens.access_token, new URL('/v1/orders', issuer), 'GET')
  assert.equal(orders.status, 200)
  const following = await client.refreshTokenGrant(config, tokens.refresh_token)
  await client.tokenRevocation(config, following.refresh_token)
  await assert.rejects(client.refreshTokenGrant(config, following.refresh_token),
    (error) => error.error === 'invalid_grant')
  await assert.rejects(
    client.authorizationCodeGrant(config, called, {
      pkceCodeVerifier: verifier, expectedNonce: nonce, expectedState: state,
    }),
    (error) => error.error === 'invalid_grant')
  return { sub: claims.sub, scope: tokens.scope, rotated: following.refresh_token !== tokens.refresh_token }
}

async function comeAlone() {
  const config = await discover(given.confidential)
  const tokens = await client.clientCredentialsGrant(config, { scope: 'catalog:read' })
  const seen = await client.tokenIntrospection(config, tokens.access_token)
  assert.equal(seen.active, true)
  return { active: seen.active, scope: seen.scope, refused: await refuse(config) }
}

async function refuse(config) {
  try {
    await client.clientCredentialsGrant(config, { scope: 'identity:write' })
  } catch (error) {
    return error.error
  }
  return null
}

async function letDeviceIn() {
  const config = await discover(given.public)
  const begun = await client.initiateDeviceAuthorization(config, { scope: 'openid orders:own' })
  const polled = client.pollDeviceAuthorizationGrant(config, begun)
  const browser = new Browser()
  const shown = await browser.signIn(await browser.send(begun.verification_uri_complete))
  const asked = await browser.submit(shown, { user_code: begun.user_code })
  await browser.submit(asked, { decision: 'allow' })
  return { scope: (await polled).scope }
}

console.log(JSON.stringify({
  confidential: await signIn(given.confidential),
  public: await signIn(given.public),
  alone: await comeAlone(),
  device: await letDeviceIn(),
}))
