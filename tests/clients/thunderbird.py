"""Thunderbird's own windows set up an account from an address and a password, then it reads and sends.

One who has not imported the appliance's CA, at an address in the appliance's own domain, as a home has it; then one who has, in
another domain. Says on standard output what they saw, a line each.

Environment: BINARY, FOLDER (with config.toml; the usual ports). /etc/hosts has the device's name and autoconfig.home.example.
"""
import imaplib
import json
import os
import smtplib
import ssl
import subprocess
import time
import urllib.request

from marionette import Marionette

FOLDER = os.environ["FOLDER"]
HOST = "pillarbox.local"
PREFERENCES = {
    "marionette.port": 2828,
    # The only network here is no way to the world.
    "network.manage-offline-status": False,
    "network.connectivity-service.enabled": False,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "mailnews.start_page.enabled": False,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    # A question about the folders that are to be encrypted and the like has nobody who answers it.
    "mail.provider.suppress_dialog_on_startup": True,
}

# The window in which accounts are made ("account hub"), and what is seen of it.
HUB = r"""
const hub = document.querySelector('account-hub-container').shadowRoot;
const steps = () => [...hub.querySelectorAll('.account-hub-step')].filter(it => !it.hidden);
const at = id => steps().some(it => it.id == id);
const seen = () => steps().map(it => it.innerText).join(' ').replace(/\s+/g, ' ').trim();
const until = async (what, probe) => {
  for (let n = 0; n < 500; n++) {
    const it = await probe();
    if (it) return it;
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  throw new Error(`${what}: never; ${steps().map(it => it.id)}: ${seen()}`);
};
const type = (id, text) => {
  const field = hub.querySelector('#' + id);
  field.value = text;
  for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {bubbles: true}));
};
const onwards = async () => {
  const button = hub.querySelector('account-hub-footer #forward');
  await until('a way onwards', () => !button.disabled && !button.hidden);
  button.click();
};
const warning = () => [...Services.wm.getEnumerator(null)].find(it => it.document.documentURI.endsWith('exceptionDialog.xhtml'));
// The question about a certificate: where it is from and what is wrong with it. It is answered.
const answer = async (window, is_accepted) => {
  const part = id => window.document.getElementById(id);
  const status = await until('why', () => part('statusLongDescription')?.textContent);
  const where = part('locationTextBox').value;
  part('permanent').checked = true;
  part('exceptiondialog').getButton(is_accepted ? 'extra1' : 'cancel').click();
  await until('the end of the question', () => warning() != window);
  return [where, status];
};
"""


class Thunderbird:
    def __init__(self, name):
        profile = f"{FOLDER}/{name}"
        os.mkdir(profile)
        with open(f"{profile}/user.js", "w") as file:
            for key, value in PREFERENCES.items():
                file.write(f"user_pref({json.dumps(key)}, {json.dumps(value)});\n")
        command = ["/usr/lib/thunderbird/thunderbird-bin", "--headless", "--marionette", "--remote-allow-system-access",
                   "--no-remote", "--profile", profile]
        with open(f"{FOLDER}/{name}.log", "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HOME": FOLDER})
        self.marionette = Marionette(PREFERENCES["marionette.port"])
        self.run = self.marionette.run

    def hub(self, script, *args):
        return self.run(HUB + script, *args)

    def import_ca(self, pem):
        """As Settings, Certificates, Authorities, Import does, for web sites, which covers mail servers."""
        data = "".join(line for line in pem.splitlines() if not line.startswith("-"))
        self.run("""Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)
          .addCertFromBase64(args[0], "C,,")""", data)

    def type_address(self, name, address):
        """The window up to what was found for ADDRESS, which is returned."""
        self.run("await window.openAccountHub('MAIL')")
        return self.hub("""await until('the form', () => hub.querySelector('#realName'));
          type('realName', args[0]); type('email', args[1]); await onwards();
          await until('settings', () => at('emailConfigFoundSubview')); return seen();""", name, address)

    def type_password(self, password):
        self.hub("""await onwards(); await until('the password', () => at('emailPasswordSubview'));
          type('password', args[0]); hub.querySelector('#rememberPassword').checked = true; await onwards();""", password)

    def finish(self):
        """To the end of the window: the questions about certificates on the way, which are answered with no."""
        return self.hub("""const asked = [];
          await until('the account', async () => {
            if (warning()) asked.push(await answer(warning(), false));
            if (at('emailSyncAccountsSubview')) await onwards();
            return at('emailAddedSuccessSubview');
          });
          await onwards(); return asked;""")

    def subjects(self, count):
        """Of the messages of INBOX, as soon as there are COUNT."""
        return self.run("""
          const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
          const server = MailServices.accounts.defaultAccount.incomingServer;
          const list = inbox => [...inbox.msgDatabase.enumerateMessages()].map(it => it.mime2DecodedSubject).sort();
          for (let n = 0; n < 300; n++) {
            const inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
            if (inbox && list(inbox).length >= args[0]) return list(inbox);
            if (n % 20 == 0) server.getNewMessages(inbox ?? server.rootFolder, window.msgWindow, null);
            await new Promise(resolve => setTimeout(resolve, 100));
          }
          throw new Error("no mail");""", count)

    def other_way_out(self):
        """From now on it sends by the second of the ways that the settings for its address name."""
        self.run("""
          const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
          const { FindConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/FindConfig.sys.mjs");
          const { email, smtpServerKey } = MailServices.accounts.defaultAccount.defaultIdentity;
          const {value: found} = await FindConfig.parallelAutoDiscovery(email.split("@")[1], email, new AbortController().signal, null, "").next();
          const server = MailServices.outgoingServer.getServerByKey(smtpServerKey);
          server.QueryInterface(Ci.nsISmtpServer).port = found.outgoingAlternatives[0].port;
          server.socketType = found.outgoingAlternatives[0].socketType;
          server.closeCachedConnections();""")

    def send(self, recipient, subject):
        """A message, and its copy into the folder for sent ones: the names of the folders there are then."""
        return self.run("""
          const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
          const account = MailServices.accounts.defaultAccount, identity = account.defaultIdentity;
          const [recipient, subject, path] = args;
          await IOUtils.writeUTF8(path, `From: ${identity.email}\\r\\nTo: ${recipient}\\r\\nSubject: ${subject}\\r\\n\\r\\nGrüße.\\r\\n`);
          const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
          file.initWithPath(path);
          const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
          Object.assign(fields, {from: identity.email, to: recipient, subject});
          const failed = status => status ? `0x${status.toString(16)}` : null;
          const outcome = Promise.withResolvers();
          const listener = {
            QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener", "nsIMsgCopyServiceListener"]),
            onStartSending() {}, onProgress() {}, onStatus() {}, onGetDraftFolderURI() {}, onSendNotPerformed() {},
            onTransportSecurityError() {},
            onStopSending(id, status) { if (failed(status)) outcome.reject(failed(status)); },
            onStartCopy() {}, setMessageKey() {}, getMessageId() { return ""; },
            onStopCopy(status) { failed(status) ? outcome.reject(failed(status)) : outcome.resolve(); },
          };
          const send = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
          send.sendMessageFile(identity, account.key, fields, file, false, false, Ci.nsIMsgSend.nsMsgDeliverNow, null, listener, "");
          await outcome.promise;
          return account.incomingServer.rootFolder.descendants.map(it => it.name).sort();""",
                        recipient, subject, f"{FOLDER}/outgoing.eml")

    def every_way(self, address, password):
        """A login at each server for reading that the settings for ADDRESS name: where these are from, then the servers."""
        return self.run("""
          const module = name => ChromeUtils.importESModule(`resource:///modules/accountcreation/${name}.sys.mjs`)[name];
          const [AccountConfig, ConfigVerifier, FindConfig] = ["AccountConfig", "ConfigVerifier", "FindConfig"].map(module);
          const [address, password] = args, signal = new AbortController().signal;
          const {value: found} = await FindConfig.parallelAutoDiscovery(address.split("@")[1], address, signal, null, "").next();
          AccountConfig.replaceVariables(found, "Demo", address, password);
          const way = it => `${it.type} ${it.port} ${it.socketType == Ci.nsMsgSocketType.SSL ? "TLS" : "STARTTLS"}`;
          const taken = [found.subSource];
          for (const incoming of [found.incoming, ...found.incomingAlternatives]) {
            const config = Object.assign(new AccountConfig(), found, {incoming});
            await new ConfigVerifier(window.msgWindow, signal).verifyConfig(config, false);
            taken.push(way(incoming));
          }
          return taken;""", address, password)

    def end(self):
        self.marionette.end()
        self.process.wait(60)


def deliver(subject):
    """From a printer."""
    with smtplib.SMTP(HOST, 25) as printer:
        printer.sendmail("printer@home.example", ["demo@pillarbox.local", "ann@home.example"],
                         f"From: printer@home.example\r\nSubject: {subject}\r\n\r\nHello.\r\n")


def until_ready():
    end = time.monotonic() + 60
    while True:
        try:
            return urllib.request.urlopen(f"http://{HOST}/ca.pem").read().decode()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def main():
    ca = until_ready()
    deliver("from the printer")

    stranger = Thunderbird("stranger")
    print("found:", stranger.type_address("Demo", "demo@pillarbox.local"))
    stranger.type_password("demo's own")
    print("asked:", *stranger.hub("return answer(await until('a question', warning), true);"))
    print("asked on the way:", *[where for where, _ in stranger.finish()])
    print("read:", *stranger.subjects(1))
    try:
        stranger.send("ann@home.example", "by a stranger")
    except RuntimeError as error:
        print("asked when sending:", str(error).splitlines()[0])
    stranger.end()

    friend = Thunderbird("friend")
    friend.import_ca(ca)
    print("logins:", ", ".join(friend.every_way("demo@pillarbox.local", "demo's own")))
    print("found:", friend.type_address("Ann", "ann@home.example"))
    friend.type_password("ann's own")
    print("asked on the way:", *[where for where, _ in friend.finish()])
    print("read:", *friend.subjects(1))
    print("folders:", *friend.send("demo@pillarbox.local", "from Thunderbird"))
    friend.other_way_out()
    friend.send("demo@pillarbox.local", "from Thunderbird by STARTTLS")
    friend.end()

    context = ssl.create_default_context(cadata=ca)
    for login, password, mailbox in [("demo", "demo's own", "INBOX"), ("ann", "ann's own", "Sent")]:
        with imaplib.IMAP4_SSL(HOST, 993, ssl_context=context) as imap:
            imap.login(login, password)
            imap.select(mailbox, readonly=True)
            numbers = imap.search(None, "SUBJECT", '"from Thunderbird"', "BODY", '"Gr"')[1][0].split()
            flags = imap.fetch(numbers[0], "(FLAGS)")[1][0].decode() if numbers else "none"
            print(f"{mailbox} of {login}: {len(numbers)}, {flags}")
            imap.logout()


with open(f"{FOLDER}/log", "w") as log:
    appliance = subprocess.Popen([os.environ["BINARY"], "run", "--data", f"{FOLDER}/data", "--config", f"{FOLDER}/config.toml"],
                                 stdout=log, stderr=log)
try:
    main()
finally:
    appliance.terminate()
    appliance.wait(20)
