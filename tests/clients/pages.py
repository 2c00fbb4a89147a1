"""Somebody at the pages, without a browser: requests over TLS that trusts the appliance's CA, the session's cookie, and forms with
the token of the last page."""
import html
import http.client
import re
import ssl
import urllib.parse


class Page:
    def __init__(self, response):
        self.status, self.headers, self.content = response.status, response.headers, response.read()

    @property
    def text(self):
        """What it says: without the tags, of which those that are words tell themselves."""
        text = self.content.decode()
        text = re.sub(r"<style>.*?</style>", " ", text, flags=re.S)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


class Visitor:
    def __init__(self, port, ca):
        self.port, self.cookie, self.token = port, None, None
        self.context = ssl.create_default_context(cafile=ca)

    def ask(self, method, path, content=None, **fields):
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.context)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if self.cookie:
            headers["Cookie"] = self.cookie
        connection.request(method, path, content, headers)
        page = Page(connection.getresponse())
        connection.close()
        for value in page.headers.get_all("Set-Cookie", []):
            self.cookie = value.split(";")[0]
        if found := re.search(rb'name="token" value="([^"]*)"', page.content):
            self.token = found[1].decode()
        return page

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, **fields):
        form = urllib.parse.urlencode({"token": self.token, **fields})
        return self.ask("POST", path, form, Content_Type="application/x-www-form-urlencoded",
                        Origin=f"https://localhost:{self.port}")

    def log_in(self, login, password):
        self.get("/login")
        page = self.post("/login", login=login, password=password)
        assert page.status == 303, page.text
