// The pages a person sees: one question, two buttons.
const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text) => String(text).replace(/[&<>"']/g, (character) => escapes[character]);

const page = (title, body) => `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title>
<style>body{font:16px sans-serif;max-width:32em;margin:4em auto}button{font:inherit;margin-right:1em}</style>
</head><body><h1>${escape(title)}</h1>${body}</body></html>`;

export const question = (uid, client, params) =>
  page(
    `${client} wants access`,
    `<p>Client: <code id="client">${escape(client)}</code></p>
<p>Scopes: <code id="scopes">${escape(params.scope ?? "none")}</code></p>
<p>Resource: <code id="resource">${escape(params.resource ?? "none")}</code></p>
<form method="post" action="/interaction/${uid}">
<button id="allow" name="answer" value="allow">Allow</button>
<button id="deny" name="answer" value="deny">Deny</button></form>`,
  );

// oidc-provider gives the form without buttons
export const enterCode = (form, error) =>
  page(
    "Connect a device",
    `${error ? `<p id="error">${escape(error)}</p>` : ""}${form}
<button id="continue" type="submit" form="op.deviceInputForm">Continue</button>`,
  );

export const confirmCode = (form, client, code) =>
  page(
    "Is this the code on your device?",
    `<p><code id="code">${escape(code)}</code> for ${escape(client)}</p>${form}
<button id="continue" type="submit" form="op.deviceConfirmForm">Continue</button>
<button id="abort" type="submit" form="op.deviceConfirmForm" name="abort" value="yes">Cancel</button>`,
  );

export const connected = () => page("Connected", `<p id="connected">Go back to your device.</p>`);

export const failed = (out) =>
  page(
    "Error",
    `<p><code id="error">${escape(out.error)}</code> ${escape(out.error_description ?? "")}</p>`,
  );
