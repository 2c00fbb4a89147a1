// Sends through the appliance as applications do: several messages at once over a pool of connections, with the options that
// only some programs use. Arguments: port, CA file.
"use strict";
const fs = require("fs");
const nodemailer = require("/usr/share/nodejs/nodemailer");

const [port, ca] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host: "localhost",
  port: Number(port),
  secure: false,
  requireTLS: true,
  pool: true,
  maxConnections: 2,
  maxMessages: 4,
  auth: { user: "anna", pass: "anna's own" },
  tls: { ca: fs.readFileSync(ca) },
});

const from = { name: "Anna Öst", address: "anna@home.example" };
const messages = [];
for (let n = 0; n < 10; n += 1) {
  messages.push({ from, to: "friend@outside.example", subject: `pooled ${n}`, text: `.${n}\n..\n.\n`.repeat(50) });
}
messages.push({
  from,
  to: "friend@outside.example",
  bcc: "secret@outside.example",
  subject: "with reports",
  html: "<p>Größe</p>",
  attachments: [{ filename: "übersicht.bin", content: Buffer.from([0, 255, 10, 13, 46, 13, 10]) }],
  dsn: { id: "a+b 1", return: "headers", notify: ["success", "failure"], recipient: "anna@home.example" },
});
messages.push({ from, to: "jürgen@bücher.example", subject: "Grüße", text: "hällo\n" });

Promise.all(messages.map((message) => transport.sendMail(message)))
  .then(() => transport.close())
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
