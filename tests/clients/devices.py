"""What devices are told over HTTP, read by other implementations: `devices.py HTTP HTTPS CA`, ports and a file.

Mozilla's config-v1.1, Outlook's autodiscover, and Apple's profile. The account is `demo`, demo@home.example.
"""
import base64
import http.client
import os
import plistlib
import re
import subprocess
import sys
import tempfile
import uuid
import xml.etree.ElementTree

from pages import Visitor

http_port, https_port, ca = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
ADDRESS = "demo@home.example"
HOST = "pillarbox.local"
PORTS = {"IMAP": 1993, "POP3": 1995, "SMTP": 1465}


def ask(method, path, content=None, host="localhost"):
    connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=60)
    connection.request(method, path, content, {"Host": host, "Content-Type": "text/xml; charset=utf-8"})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def is_xml(response):
    # Thunderbird takes these and reads others as text.
    return response.headers["Content-Type"].split(";")[0] in ("text/xml", "application/xml")


def config_v1_1():
    """https://wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat"""
    answers = set()
    for host in ("localhost", "home.example", "autoconfig.home.example", "AutoConfig.Home.Example."):
        for path in ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"):
            for query in ("", "?emailaddress=demo%40home.example"):
                response, content = ask("GET", path + query, host=host)
                assert response.status == 200 and is_xml(response), (host, path, response.headers)
                answers.add(content)
                head, nothing = ask("HEAD", path + query, host=host)
                assert (head.headers["Content-Length"], nothing) == (str(len(content)), b"")
    [content] = answers
    root = xml.etree.ElementTree.fromstring(content)
    assert (root.tag, root.get("version")) == ("clientConfig", "1.1")
    [provider] = root
    assert provider.tag == "emailProvider" and provider.get("id") == "home.example"
    assert [it.text for it in provider.findall("domain")] == ["home.example", "pillarbox.local"]
    servers = []
    for server in provider:
        if server.tag in ("domain", "displayName"):
            continue
        part = {it.tag: it.text for it in server}
        assert part.pop("hostname") == HOST
        assert part.pop("username") == "%EMAILADDRESS%"
        assert part.pop("authentication") == "password-cleartext"
        servers.append((server.tag, server.get("type"), part.pop("port"), part.pop("socketType")))
        assert not part, part
    assert servers == [
        ("incomingServer", "imap", "1993", "SSL"), ("incomingServer", "imap", "1143", "STARTTLS"),
        ("incomingServer", "pop3", "1995", "SSL"), ("incomingServer", "pop3", "1110", "STARTTLS"),
        ("outgoingServer", "smtp", "1465", "SSL"), ("outgoingServer", "smtp", "1587", "STARTTLS"),
    ], servers


def autodiscover():
    """[MS-OXDSCLI] section 2.2.4.1, and Microsoft's "POX Autodiscover XML elements"."""
    outer = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
    inner = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
    request = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
    question = (f'<?xml version="1.0" encoding="utf-8"?>\r\n<Autodiscover xmlns="{request}"><Request>'
                f"<EMailAddress>{ADDRESS}</EMailAddress><AcceptableResponseSchema>{inner}</AcceptableResponseSchema>"
                "</Request></Autodiscover>")
    for path in ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml", "/AUTODISCOVER/AUTODISCOVER.XML"):
        response, content = ask("POST", path, question, host="autodiscover.home.example")
        assert response.status == 200 and is_xml(response), (path, response.status)
        root = xml.etree.ElementTree.fromstring(content)
        assert root.tag == f"{{{outer}}}Autodiscover", root.tag
        [answer] = root
        assert answer.tag == f"{{{inner}}}Response", answer.tag
        [account] = answer
        parts = [(it.tag.removeprefix(f"{{{inner}}}"), it) for it in account]
        assert [name for name, _ in parts] == ["AccountType", "Action", "Protocol", "Protocol", "Protocol"], parts
        assert (parts[0][1].text, parts[1][1].text) == ("email", "settings")
        for (_, protocol), kind in zip(parts[2:], ("IMAP", "POP3", "SMTP")):
            of = [(it.tag.removeprefix(f"{{{inner}}}"), it.text) for it in protocol]
            assert len(dict(of)) == len(of), of
            assert dict(of) == {
                "Type": kind, "Server": HOST, "Port": str(PORTS[kind]), "LoginName": ADDRESS, "DomainRequired": "off",
                "SPA": "off", "SSL": "on", "Encryption": "SSL", "AuthRequired": "on",
            }, of


def openssl(*arguments, ok=True):
    outcome = subprocess.run(["openssl", *arguments], capture_output=True)
    assert (outcome.returncode == 0) == ok, (arguments, outcome.stderr)
    return outcome.stdout


def check_profile(content, password):
    """Apple's "Device Management": the keys that are required of each payload, and what they may be."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "signed")
        with open(file, "wb") as signed:
            signed.write(content)
        verify = ["-verify", "-inform", "DER", "-in", file, "-CAfile", ca, "-purpose", "any"]
        plist = openssl("cms", *verify)
        # The older syntax, PKCS #7, is what Apple's own instructions use.
        assert openssl("smime", *verify) == plist
        # One other octet of the content, and it is nobody's.
        at = content.index(b"EmailTypeIMAP")
        with open(file, "wb") as signed:
            signed.write(content[:at] + b"X" + content[at + 1:])
        openssl("cms", *verify, ok=False)
    profile = plistlib.loads(plist, fmt=plistlib.FMT_XML)
    payloads = [profile, *profile["PayloadContent"]]
    assert [it["PayloadType"] for it in payloads] == ["Configuration", "com.apple.security.root", "com.apple.mail.managed"]
    for it in payloads:
        assert it["PayloadVersion"] == 1 and it["PayloadDisplayName"], it
        assert str(uuid.UUID(it["PayloadUUID"])).upper() == it["PayloadUUID"]
        assert re.fullmatch(r"[A-Za-z0-9.-]+", it["PayloadIdentifier"]), it["PayloadIdentifier"]
    for key in ("PayloadUUID", "PayloadIdentifier"):
        assert len({it[key] for it in payloads}) == 3, key
    with open(ca) as file:
        der = base64.b64decode("".join(line.strip() for line in file if not line.startswith("-")))
    assert payloads[1]["PayloadContent"] == der
    mail = {key: value for key, value in payloads[2].items() if not key.startswith("Payload")}
    given = mail.pop("IncomingPassword", None)
    assert bool(given) == password, mail
    assert mail == {
        "EmailAccountType": "EmailTypeIMAP", "EmailAccountDescription": HOST, "EmailAddress": ADDRESS,
        "IncomingMailServerAuthentication": "EmailAuthPassword", "IncomingMailServerHostName": HOST,
        "IncomingMailServerPortNumber": PORTS["IMAP"], "IncomingMailServerUseSSL": True,
        "IncomingMailServerUsername": ADDRESS,
        "OutgoingMailServerAuthentication": "EmailAuthPassword", "OutgoingMailServerHostName": HOST,
        "OutgoingMailServerPortNumber": PORTS["SMTP"], "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": ADDRESS, "OutgoingPasswordSameAsIncomingPassword": True,
    }, mail
    return [it["PayloadUUID"] for it in payloads], given


def profiles():
    user = Visitor(https_port, ca)
    user.log_in("demo", "long enough")
    page = user.get("/profile/demo.mobileconfig")
    assert page.headers["Content-Type"] == "application/x-apple-aspen-config", page.headers
    without, _ = check_profile(page.content, password=False)
    user.get("/mine")
    page = user.post("/mine/app-passwords", app="tablet", profile="yes")
    assert page.headers["Content-Type"] == "application/x-apple-aspen-config", page.text
    within, password = check_profile(page.content, password=True)
    # Installed, it takes the place of the one before.
    assert within == without
    print(password)


def codes():
    """What the camera of a telephone is shown, to whom asks at localhost: the telephone does not."""
    operator = Visitor(https_port, ca)
    operator.log_in("operator", "the operator")
    page = operator.get("/server/certificate")
    assert f'"http://{HOST}:{http_port}/ca.crt"' in page.content.decode(), page.text
    for path in ("/accounts/demo", "/mine"):
        if path == "/mine":
            operator = Visitor(https_port, ca)
            operator.log_in("demo", "long enough")
        assert f'"https://{HOST}:{https_port}/mine"' in operator.get(path).content.decode(), path


config_v1_1()
autodiscover()
codes()
profiles()
