// What the authorization server remembers, in memory. Unlike oidc-provider's own memory store it
// forgets nothing while there is room for it, and a test can look inside.
const now = () => Math.floor(Date.now() / 1000);

// Models whose ids are the secrets themselves.
const SECRETS = new Set([
  "AccessToken",
  "AuthorizationCode",
  "ClientCredentials",
  "DeviceCode",
  "RefreshToken",
  "RegistrationAccessToken",
]);

export class Store {
  // model name → id → payload
  #models = new Map();
  // every secret that was made, in order
  issued = new Set();
  // called with each refresh token that was looked up: its payload, or undefined
  onRefreshToken = () => {};

  all(model) {
    if (!this.#models.has(model)) this.#models.set(model, new Map());
    return this.#models.get(model);
  }

  // Removes everything that belongs to a grant, or to all of them.
  revoke(grantId) {
    for (const items of this.#models.values()) {
      for (const [id, item] of items) {
        if (item.grantId && (grantId === undefined || item.grantId === grantId)) items.delete(id);
      }
    }
    if (grantId === undefined) this.all("Grant").clear();
    else this.all("Grant").delete(grantId);
  }

  // The class that oidc-provider wants.
  adapter() {
    const store = this;
    return class {
      constructor(model) {
        this.model = model;
        this.items = store.all(model);
      }
      async upsert(id, payload) {
        this.items.set(id, payload);
        if (SECRETS.has(this.model)) store.issued.add(id);
        if (payload.client_secret) store.issued.add(payload.client_secret);
      }
      async find(id) {
        const found = this.items.get(id);
        if (this.model === "RefreshToken") store.onRefreshToken(found);
        return found;
      }
      async findByUserCode(userCode) {
        return [...this.items.values()].find((item) => item.userCode === userCode);
      }
      async findByUid(uid) {
        return [...this.items.values()].find((item) => item.uid === uid);
      }
      async consume(id) {
        this.items.get(id).consumed = now();
      }
      async destroy(id) {
        this.items.delete(id);
      }
      async revokeByGrantId(grantId) {
        for (const [id, item] of this.items) if (item.grantId === grantId) this.items.delete(id);
      }
    };
  }
}
