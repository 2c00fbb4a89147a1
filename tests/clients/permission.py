"""A permission of a provider that gives codes (RFC 8628), asked for on the pages: `permission.py PORT CA`.

The sources of the account `demo`, which operator and user see as 1, 2…: one that is permitted, one whose provider says first that
it was asked too often, one that is refused, one whose code runs out, and one for the user's own page.
"""
import sys
import time

from pages import Visitor

port, ca = int(sys.argv[1]), sys.argv[2]


def ask(visitor, here):
    """Asks for the permission, sees the code, and loads the page as its header says, until it has become another one."""
    page = visitor.get(here)
    assert "WXYZ" not in page.text and "Refresh" not in page.headers, page.text
    page = visitor.post(here, ask="yes")
    assert (page.status, page.headers["Location"]) == (303, here), page.text
    page = visitor.get(here)
    assert page.status == 200 and "WXYZ-1234" in page.text, page.text
    assert b'href="https://login.provider.example/device"' in page.content, page.content
    # Without a script it is loaded anew by itself.
    assert page.headers["Refresh"] == "5", page.headers
    waited = time.monotonic()
    while page.status == 200 and "WXYZ-1234" in page.text:
        assert "Refresh" in page.headers and time.monotonic() - waited < 60, page.text
        time.sleep(0.3)
        page = visitor.get(here)
    return page


def given(visitor, page, here):
    """It leads back to the source, which says so once; and the page knows that there is one."""
    back = here.removesuffix("/permission")
    assert (page.status, page.headers["Location"]) == (303, back), (page.status, page.text)
    assert "The permission is stored" in visitor.get(back).text, visitor.get(back).text
    assert "The permission is stored" not in visitor.get(back).text
    page = visitor.get(here)
    assert "there is one already" in page.text and "WXYZ" not in page.text, page.text
    # Not even its holder sees it again.
    assert b"refresh1" not in page.content and b"access1" not in page.content


operator = Visitor(port, ca)
operator.log_in("operator", "the operator")
sources = "/accounts/demo/sources"
for number in (1, 2):
    here = f"{sources}/{number}/permission"
    given(operator, ask(operator, here), here)
for number, words in [(3, "refused"), (4, "the code has ended")]:
    here = f"{sources}/{number}/permission"
    page = ask(operator, here)
    assert page.status == 422 and words in page.text.lower(), (page.status, page.text)
    # It is over: nothing is loaded anew, and it may be asked for again.
    assert "Refresh" not in page.headers
    assert "there is one already" not in operator.get(here).text

user = Visitor(port, ca)
user.log_in("demo", "long enough")
given(user, ask(user, "/mine/sources/5/permission"), "/mine/sources/5/permission")
# Who is nobody sees no code, and who gives up sees none either.
stranger = Visitor(port, ca)
page = stranger.get(f"{sources}/1/permission")
assert (page.status, page.headers["Location"]) == (303, "/login"), page.text
operator.post(f"{sources}/3/permission", ask="yes")
assert "WXYZ-1234" in operator.get(f"{sources}/3/permission").text
operator.post(f"{sources}/3/permission", give_up="yes")
page = operator.get(f"{sources}/3/permission")
assert "WXYZ-1234" not in page.text and "Refresh" not in page.headers, page.text
print("all is well")
