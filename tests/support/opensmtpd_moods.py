# The moods (moods.rs) as a filter of OpenSMTPD: smtpd-filters(7). What they are called is written above this.
import sys
import threading

seen = set()
recipients = {}


def is_new(key):
    new = key not in seen
    seen.add(key)
    return new


def rcpt_to(to, session):
    recipients.setdefault(session, []).append(to)
    if to.startswith(NOBODY):
        return "reject|550 5.1.1 no such user"
    if to.startswith(GREY) and is_new(to):
        return "reject|451 4.7.1 greylisted"
    return "proceed"


def commit(_, session):
    to = recipients.pop(session, [""])
    if to[0].startswith(CLOSES) and is_new(str(to)):
        return "disconnect|421 4.3.2 going down"
    return "late" if to[0].startswith(LATE) else "proceed"


def say(line):
    # One write, for the late ones have threads of their own.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


for line in sys.stdin:
    fields = line.rstrip("\n").split("|")
    if fields[:2] == ["config", "ready"]:
        say("register|filter|smtp-in|rcpt-to\nregister|filter|smtp-in|commit\nregister|ready")
    if fields[0] == "filter":
        phase, session, token = fields[4:7]
        said = {"rcpt-to": rcpt_to, "commit": commit}[phase]("|".join(fields[7:]), session)
        answer = f"filter-result|{session}|{token}|"
        if said == "late":
            threading.Timer(LATENESS, say, [answer + "proceed"]).start()
        else:
            say(answer + said)
