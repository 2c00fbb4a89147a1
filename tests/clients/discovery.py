"""Starts an appliance, looks for its services with another implementation of multicast DNS, has it end, and tells what happened.

Argument: a name that another device has already, or nothing. Environment: BINARY, FOLDER.
"""
import os
import socket
import subprocess
import sys
import threading
import time

from zeroconf import ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

KINDS = ["_imaps._tcp.local.", "_submissions._tcp.local.", "_https._tcp.local.", "_pop3s._tcp.local."]
EXPECTED = 3
found, gone = threading.Semaphore(0), threading.Semaphore(0)
lines = []


class Listener(ServiceListener):
    def add_service(self, zeroconf, kind, name):
        info = zeroconf.get_service_info(kind, name, timeout=5000)
        where = ", ".join(sorted(info.parsed_addresses())) if info else "nowhere"
        lines.append(f"found {name} at {info.server if info else ''}:{info.port if info else 0}, {where}")
        found.release()

    def update_service(self, zeroconf, kind, name):
        pass

    def remove_service(self, zeroconf, kind, name):
        lines.append(f"gone {name}")
        gone.release()


def all_of(what, count):
    for _ in range(count):
        if not what.acquire(timeout=20):
            lines.append("and no more")
            return


network = Zeroconf(interfaces=["192.168.77.6"])
others = 0
for name in sys.argv[1:]:
    network.register_service(ServiceInfo("_imaps._tcp.local.", f"{name}._imaps._tcp.local.", 4993,
                                         addresses=[socket.inet_aton("192.168.77.9")], server=f"{name}.local."))
    others += 1
folder = os.environ["FOLDER"]
with open(f"{folder}/log", "w") as log:
    # In the network of the first process: this one is on another machine, as far as the kernel is concerned.
    appliance = subprocess.Popen(["nsenter", "-t", "1", "-n", os.environ["BINARY"], "run", "--data", f"{folder}/data", "--config", f"{folder}/config.toml",
                                  "--board", f"{folder}/run"], stdout=log, stderr=log)
browser = ServiceBrowser(network, KINDS, Listener())
all_of(found, EXPECTED + others)
time.sleep(1)  # For what is not to come.
appliance.terminate()
all_of(gone, EXPECTED)
print("\n".join(sorted(lines)))
network.close()
sys.exit(appliance.wait(20))
