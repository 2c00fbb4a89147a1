"""A session of Python's imaplib, which leaves Nagle's algorithm on and sends literals after a go-ahead only."""

import imaplib
import ssl
import sys

port, ca = int(sys.argv[1]), sys.argv[2]
trust = ssl.create_default_context(cafile=ca)
imap = imaplib.IMAP4("localhost", port)
imap.starttls(trust)
imap.login("anna", "anna's own")


def good(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


assert {"CONDSTORE", "QRESYNC", "ESEARCH", "MULTIAPPEND"} <= set(imap.capabilities), imap.capabilities
good(imap.create('"Two words"'))
good(imap.append('"Two words"', r"(\Seen $Label1)", '" 7-Feb-1994 22:43:04 -0800"', b"Subject: one\r\n\r\nfirst\r\n"))
good(imap.append('"Two words"', None, None, b"Subject: two\r\n\r\nsecond\r\n"))
assert good(imap.select('"Two words"')) == [b"2"]
assert good(imap.search(None, "SUBJECT", "one")) == [b"1"]
assert good(imap.sort("(REVERSE SUBJECT)", "UTF-8", "ALL")) == [b"2 1"]
assert good(imap.thread("REFERENCES", "UTF-8", "ALL")) == [b"(1)(2)"]
assert good(imap.uid("fetch", "1", "(BODY.PEEK[] FLAGS)"))[0][1] == b"Subject: one\r\n\r\nfirst\r\n"
good(imap.store("2", "+FLAGS", r"(\Deleted)"))
assert good(imap.expunge()) == [b"2"]
good(imap.copy("1", "INBOX"))
assert b"STORAGE" in good(imap.getquota('""'))[0]
assert good(imap.getquotaroot("INBOX"))[1][0].startswith(b'"" (STORAGE')
good(imap.close())
good(imap.enable("CONDSTORE"))
good(imap.delete('"Two words"'))
# In UTF-8 from here on.
good(imap.create("Entw&APw-rfe"))
good(imap.enable("UTF8=ACCEPT"))
assert good(imap.list('""', '"Entw*"')) == ['(\\HasNoChildren) "/" "Entwürfe"'.encode()]
good(imap.rename('"Entwürfe"', '"Müll"'))
assert good(imap.select('"Müll"')) == [b"0"]
assert good(imap.search(None, "SUBJECT", '"Grüße"')) == [b""]
imap.logout()
