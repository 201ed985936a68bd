// get.cjs LIBRARY URL: prints what the URL answers with 200, as one of the usual libraries gets it.
'use strict';

const libraries = {
  async fetch(url) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer.text();
  },

  https(url) {
    const https = require('https');
    return new Promise((resolve, reject) => {
      const request = https.get(url, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (part) => (text += part));
        answer.on('end', () =>
          answer.statusCode === 200 ? resolve(text) : reject(new Error(`status ${answer.statusCode}`)),
        );
      });
      request.on('error', reject);
    });
  },

  async axios(url) {
    return JSON.stringify((await require('axios').get(url)).data);
  },

  async axios16(url) {
    return JSON.stringify((await require('axios16').get(url)).data);
  },
};

const [, , library, url] = process.argv;
libraries[library](url).then(console.log, (error) => {
  console.error(error);
  process.exitCode = 1;
});
