// Signs a body with a provider's own library and prints the headers as JSON.
//
//   SECRET=... node sign.mjs LIBRARY TIMESTAMP ID < body
//
// TIMESTAMP is in Unix seconds. With `verify` as a fourth word the headers are read from the
// variable HEADERS instead, and the library says whether they are good: exit code 0 or 1.
import { readFileSync } from "node:fs";

const [library, timestamp, id, mode] = process.argv.slice(2);
const secret = process.env.SECRET;
const body = readFileSync(0, "utf8");
const time = Number(timestamp);

const standard = (Webhook, names) => ({
  sign: () => ({
    [names[0]]: id,
    [names[1]]: timestamp,
    [names[2]]: new Webhook(secret).sign(id, new Date(time * 1000), body),
  }),
  verify: (headers) => new Webhook(secret).verify(body, headers),
});

const libraries = {
  standardwebhooks: async () => {
    const { Webhook } = await import("standardwebhooks");
    return standard(Webhook, ["webhook-id", "webhook-timestamp", "webhook-signature"]);
  },
  svix: async () => {
    const { Webhook } = await import("svix");
    return standard(Webhook, ["svix-id", "svix-timestamp", "svix-signature"]);
  },
  octokit: async () => {
    const { sign, verify } = await import("@octokit/webhooks-methods");
    return {
      sign: async () => ({ "X-Hub-Signature-256": await sign(secret, body) }),
      verify: async (headers) => {
        if (!(await verify(secret, body, headers["x-hub-signature-256"]))) throw new Error("bad");
      },
    };
  },
  stripe: async () => {
    const { default: Stripe } = await import("stripe");
    const { webhooks } = new Stripe("sk_test_nothing");
    return {
      sign: () => ({
        "Stripe-Signature": webhooks.generateTestHeaderString({
          payload: body,
          secret,
          timestamp: time,
        }),
      }),
      verify: (headers) => webhooks.constructEvent(body, headers["stripe-signature"], secret),
    };
  },
};

const { sign, verify } = await libraries[library]();
if (mode === "verify") {
  const headers = JSON.parse(process.env.HEADERS);
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  try {
    await verify(Object.fromEntries(lower));
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
} else {
  console.log(JSON.stringify(await sign()));
}
