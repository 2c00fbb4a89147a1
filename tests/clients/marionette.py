"""Speaks to a program of the Mozilla family that was started with --marionette: scripts are run in its own windows.

https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html: each message is its length, a colon, and JSON.
"""
import json
import socket
import time


class Marionette:
    def __init__(self, port, patience=60):
        """Connects, as soon as the program listens, within PATIENCE seconds."""
        end = time.monotonic() + patience
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self.heard, self.asked = b"", 0
        self._read()
        self._ask("WebDriver:NewSession", capabilities={})
        self._ask("Marionette:SetContext", value="chrome")

    def run(self, script, *args, seconds=60):
        """What SCRIPT, the body of an asynchronous function of `args`, returns; RuntimeError says what it threw."""
        self._ask("WebDriver:SetTimeouts", script=seconds * 1000)
        body = ("const args = arguments[0], done = arguments[arguments.length - 1]; (async () => {" + script + "})()"
                ".then(it => done({it: it ?? null}), error => done({error: `${error}\\n${error?.stack}`}));")
        outcome = self._ask("WebDriver:ExecuteAsyncScript", script=body, args=[list(args)], newSandbox=False)["value"]
        if outcome is None:
            raise RuntimeError("a question was asked in a window of its own")
        if "error" in outcome:
            raise RuntimeError(outcome["error"])
        return outcome["it"]

    def end(self):
        """Has the program end by itself."""
        self._ask("Marionette:Quit", flags=["eAttemptQuit"])
        self.socket.close()

    def _ask(self, command, **parameters):
        self.asked += 1
        data = json.dumps([0, self.asked, command, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(data), data))
        _, _, error, result = self._read()
        if error:
            raise RuntimeError(f"{command}: {error['message']}")
        return result

    def _read(self):
        while b":" not in self.heard:
            self._more()
        length, self.heard = self.heard.split(b":", 1)
        while len(self.heard) < int(length):
            self._more()
        data, self.heard = self.heard[:int(length)], self.heard[int(length):]
        return json.loads(data)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the program has ended")
        self.heard += data
