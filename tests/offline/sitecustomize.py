"""Python imports this at its start where this folder is on PYTHONPATH. It refuses to talk to any other machine."""

import ipaddress
import sys


def is_this_machine(host):
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if not is_this_machine(host):
        raise PermissionError(f"A notebook tried to reach {host}: notebooks must run offline.")


sys.addaudithook(refuse)
