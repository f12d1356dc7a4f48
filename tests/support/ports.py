"""Ports, of 127.0.0.1 if nothing else is said, that no other test gets while one needs them."""

import socket

LOCAL = '127.0.0.1'


def reserve(address=LOCAL):
    """Return a free port, and the socket that holds it for programs that listen with SO_REUSEPORT.

    The socket does not listen: without such a program, connections are refused. The kernel gives the
    port to no other socket while this one is open, not even as the near end of a connection.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((address, 0))
    return held.getsockname()[1], held


def reserve_row(count, address=LOCAL):
    """Return the first of so many free ports in a row, and the sockets that hold them as `reserve` does."""
    while True:
        first, held = reserve(address)
        row = [held]
        try:
            for number in range(first + 1, first + count):
                # One that another process has is free for those who share it, as this row does.
                with socket.socket() as exclusive:
                    exclusive.bind((address, number))
                row.append(socket.socket())
                row[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                row[-1].bind((address, number))
        except OSError:
            for each in row:
                each.close()
        else:
            return first, row
